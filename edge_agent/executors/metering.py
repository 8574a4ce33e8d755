"""What an attempt used, in the units of the wire, with its energy by the owner's power model.

    energy = wall · idle · share  +  cpu · (max − idle) / cores

``wall`` and ``cpu`` in seconds, ``idle`` and ``max`` the device's power in milliwatts, ``share``
the leased part of all cores, so that leases of the whole device pay for the whole idle power. The
second term is the linear model between idle and full load (Fan, Weber, Barroso 2007, eq. 1).
Times are rounded up to milliseconds: what ran was not free.
"""

from dataclasses import dataclass

from edge_agent.executors.job import Finish
from edge_agent.wire import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerModel:
    """The device's power at rest and at full load, in milliwatts, and its cores."""

    idle_milliwatts: int
    max_milliwatts: int
    cores: int

    def millijoules(self, *, wall_us: int, cpu_us: int, cpu_millis: int) -> int:
        """Energy of a run that held ``cpu_millis`` for ``wall_us`` and computed for ``cpu_us``."""
        share = min(cpu_millis / (1000 * self.cores), 1.0)
        idle = wall_us / 1e6 * self.idle_milliwatts * share
        active = cpu_us / 1e6 * (self.max_milliwatts - self.idle_milliwatts) / self.cores
        return round(idle + active)


def usage(finish: Finish, *, model: PowerModel, cpu_millis: int, bytes_out: int) -> Usage:
    """The usage of one finished task."""
    return Usage(
        wall_ms=_up_to_ms(finish.wall_us),
        cpu_ms=_up_to_ms(finish.cpu_us),
        memory_peak_bytes=finish.memory_peak_bytes,
        bytes_in=finish.bytes_in,
        bytes_out=bytes_out,
        energy_millijoules=model.millijoules(
            wall_us=finish.wall_us, cpu_us=finish.cpu_us, cpu_millis=cpu_millis
        ),
    )


def _up_to_ms(microseconds: int) -> int:
    return -(-microseconds // 1000)
