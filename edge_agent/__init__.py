"""The agent that runs on an owner's device: reports capacity, runs what was leased, meters it."""

__version__ = "0.1.0"
