"""``python -m edge_agent`` is ``souk-agent``."""

from edge_agent.cli import entry

entry()
