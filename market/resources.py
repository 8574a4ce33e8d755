"""The resources that the market trades, their base units and the units that prices are quoted in.

Quantities are integers in a base unit (``cpu_millis``, ``memory_bytes``); prices are integer
micros of a credit for one *priced unit* during one hour (one core-hour, one GiB-hour), as owners
and tenants quote them. ``RESOURCES`` may be extended: every array in the core is (.., R) wide and
takes its names from the snapshot.
"""

from dataclasses import dataclass

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One traded resource: ``priced_unit`` base units make the unit that a price is quoted for."""

    name: str
    priced_unit: int
    label: str


CPU = Resource(name="cpu_millis", priced_unit=1_000, label="core")
MEMORY = Resource(name="memory_bytes", priced_unit=1 << 30, label="GiB")
ACCELERATOR = Resource(name="accelerator_millis", priced_unit=1_000, label="accelerator")
BANDWIDTH = Resource(name="bandwidth_kbps", priced_unit=1_000, label="Mbit/s")

RESOURCES: tuple[Resource, ...] = (CPU, MEMORY, ACCELERATOR, BANDWIDTH)
RESOURCE_NAMES: tuple[str, ...] = tuple(resource.name for resource in RESOURCES)
