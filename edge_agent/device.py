"""The real device behind the core: the owner's configuration and the measured machine."""

import platform
from pathlib import Path

from edge_agent import __version__, machine
from edge_agent.config import AgentConfig
from edge_agent.core import OwnerTerms, Sample
from edge_agent.hours import Opening, opening
from edge_agent.wire import Birth, OfferTerms, Reading

MILLIWATTS_PER_CORE_DEFAULT = 4_000  # above idle
SAMPLE_AGE_MAX_MS = 500


class LocalDevice:
    """This machine as the owner shares it."""

    def __init__(
        self, config: AgentConfig, *, state_dir: Path, runtimes: dict[str, str], calibration: int
    ) -> None:
        self.runtimes = runtimes
        self.cores = machine.cpu_count()
        self._memory_total = machine.memory_total_bytes()
        self._calibration = calibration
        self._state_dir = state_dir
        self._sample = Sample()
        self._sampled_at = -SAMPLE_AGE_MAX_MS
        self.configure(config)

    def configure(self, config: AgentConfig) -> None:
        """Take the owner's settings, at the start and when they change."""
        share, power = config.share, config.power
        self.config = config
        self.cpu_millis = min(share.cpu_millis or self.cores * 1000, self.cores * 1000)
        self.memory_bytes = min(share.memory_bytes or self._memory_total // 2, self._memory_total)
        self.idle_milliwatts = power.idle_milliwatts
        self.max_milliwatts = (
            power.max_milliwatts or power.idle_milliwatts + MILLIWATTS_PER_CORE_DEFAULT * self.cores
        )
        self._opening = Opening(open_now=True)
        self._opening_until = 0
        self._terms: OwnerTerms | None = None

    def birth(self, now: int) -> Birth:
        """Who this node is and what it has."""
        config = self.config
        return Birth(
            agent_version=__version__,
            hostname=platform.node(),
            arch=machine.arch(),
            os=machine.os_name(),
            cpu_count=self.cores,
            memory_bytes=self._memory_total,
            disk_bytes=config.share.disk_bytes,
            runtimes=self.runtimes,
            calibration_ops_per_s=self._calibration,
            idle_milliwatts=self.idle_milliwatts,
            max_milliwatts=self.max_milliwatts,
            labels=dict(config.labels),
            latitude=config.location.latitude,
            longitude=config.location.longitude,
            carbon_g_per_kwh=config.power.carbon_g_per_kwh,
        )

    def offer(self, now: int) -> OfferTerms:
        """What the owner sells, at which reserve prices, in the window that counts at ``now``."""
        hours = self.opening(now)
        price, tenants = self.config.price, self.config.tenants
        return OfferTerms(
            capacity={"cpu_millis": self.cpu_millis, "memory_bytes": self.memory_bytes},
            reserve_micros_per_hour={
                "cpu_millis": price.cpu_micros_per_core_hour,
                "memory_bytes": price.memory_micros_per_gib_hour,
            },
            opens_at=hours.opens_at,
            closes_at=hours.closes_at,
            accepts_tenants=tenants.accept,
            refuses_tenants=tenants.refuse,
        )

    def terms(self, now: int) -> OwnerTerms:
        """The owner's rules at ``now``."""
        open_now = self.opening(now).open_now
        if self._terms is None or self._terms.open_now != open_now:
            tenants = self.config.tenants
            self._terms = OwnerTerms(
                cpu_millis=self.cpu_millis,
                memory_bytes=self.memory_bytes,
                output_bytes_max=self.config.share.output_bytes_max,
                runtimes=frozenset(self.runtimes),
                open_now=open_now,
                accepts_tenants=frozenset(tenants.accept),
                refuses_tenants=frozenset(tenants.refuse),
            )
        return self._terms

    def opening(self, now: int) -> Opening:
        """The owner's hours at ``now``; worked out again only when a boundary has passed."""
        if now >= self._opening_until:
            self._opening = hours = opening(self.config.hours, now)
            boundary = hours.closes_at if hours.open_now else hours.opens_at
            self._opening_until = boundary or now + 3_600_000
        return self._opening

    @property
    def opening_until(self) -> int:
        """When the owner's hours change next (or must be looked at again), Unix milliseconds."""
        return self._opening_until

    def sample(self, now: int) -> Sample:
        """The condition now, read at most every ``SAMPLE_AGE_MAX_MS``."""
        if now - self._sampled_at >= SAMPLE_AGE_MAX_MS or now < self._sampled_at:
            percent, on_battery = machine.battery()
            self._sampled_at = now
            self._sample = Sample(
                load_1m_milli=machine.load_1m_milli(),
                memory_available_bytes=machine.memory_available_bytes(),
                disk_free_bytes=machine.disk_free_bytes(self._state_dir),
                battery_percent=percent,
                on_battery=on_battery,
                temperature_millicelsius=machine.temperature_millicelsius(),
            )
        return self._sample

    def readings(self, now: int) -> tuple[Reading, ...]:
        """Every value of the table that this machine has."""
        values = ((reading.key, reading.read()) for reading in machine.READINGS)
        return tuple(
            Reading(key=key, at=now, value=float(value))
            for key, value in values
            if value is not None
        )
