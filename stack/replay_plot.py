"""Draws what a replay changed: welfare, cost, energy, latency and fairness, round by round."""

from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import ConfigError

if TYPE_CHECKING:
    from sim.replay import Replayed

PANELS = (
    ("welfare", "welfare"),
    ("revenue_micros_per_hour", "payments, micros an hour"),
    ("power_milliwatts", "power, mW"),
    ("latency_ms", "latency, ms"),
    ("jain", "fairness between tenants (Jain)"),
    ("slots", "slots"),
)


def plot(rounds: "list[Replayed]", path: Path) -> None:
    """Write one figure with a panel for each measure. Raises ``ConfigError`` where it cannot."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError(
            "plotting needs matplotlib: install requirements-dev.lock, or use -o json"
        ) from None
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6), sharex=True, layout="constrained")
    at = range(1, len(rounds) + 1)
    for axis, (name, title) in zip(axes.flat, PANELS, strict=True):
        axis.plot(at, [each.recorded[name] for each in rounds], "o-", ms=3, label="as recorded")
        axis.plot(at, [each.replayed[name] for each in rounds], "s--", ms=3, label="as replayed")
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("round")
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the plot cannot be written: {error}") from error
    finally:
        pyplot.close(figure)
