"""The real device: what it measures on this machine, and what the owner's settings make of it."""

from datetime import datetime
from pathlib import Path

import pytest

from edge_agent import machine
from edge_agent.calibration import cached_calibration, calibrate
from edge_agent.config import AgentConfig, parse_config
from edge_agent.device import LocalDevice
from edge_agent.runtimes import installed

NOW = round(datetime(2024, 1, 1, 9, 0).astimezone().timestamp() * 1000)  # a Monday, local time
HOUR_MS = 3_600_000


def device(tmp_path: Path, config: AgentConfig) -> LocalDevice:
    return LocalDevice(config, state_dir=tmp_path, runtimes={"wasm": "1"}, calibration=5)


def test_shares_never_exceed_the_machine(tmp_path: Path) -> None:
    greedy = parse_config({"share": {"cpu_millis": 10**9, "memory_bytes": 10**18}})
    made = device(tmp_path, greedy)
    assert made.cpu_millis == machine.cpu_count() * 1000
    assert made.memory_bytes == machine.memory_total_bytes()


def test_offer_and_terms_follow_the_hours(tmp_path: Path) -> None:
    made = device(tmp_path, parse_config({"hours": ["mon 08:00-10:00"]}))
    assert made.terms(NOW).open_now
    offer = made.offer(NOW)
    assert (offer.opens_at, offer.closes_at) == (NOW - HOUR_MS, NOW + HOUR_MS)
    assert not made.terms(NOW + HOUR_MS).open_now
    assert made.offer(NOW + HOUR_MS).opens_at > NOW + 6 * 24 * HOUR_MS
    made.configure(parse_config({}))
    assert made.terms(NOW + HOUR_MS).open_now


def test_birth_and_sample_say_what_the_machine_says(tmp_path: Path) -> None:
    made = device(tmp_path, parse_config({"labels": {"a": "b"}, "power": {"idle_milliwatts": 7}}))
    birth, sample = made.birth(NOW), made.sample(NOW)
    assert (birth.labels, birth.idle_milliwatts, birth.calibration_ops_per_s) == ({"a": "b"}, 7, 5)
    assert birth.max_milliwatts == 7 + 4_000 * birth.cpu_count
    assert 0 < (sample.memory_available_bytes or 0) <= birth.memory_bytes
    assert sample.disk_free_bytes > 0
    keys = {reading.key for reading in made.readings(NOW)}
    assert {"load_1m", "memory_available_bytes", "agent_rss_bytes"} <= keys


def test_battery_and_temperature_from_sysfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "class/power_supply/AC/type": "Mains",
        "class/power_supply/BAT0/type": "Battery",
        "class/power_supply/BAT0/capacity": "73",
        "class/power_supply/BAT0/status": "Discharging",
        "class/thermal/thermal_zone0/temp": "41000",
        "class/thermal/thermal_zone1/temp": "56500",
        "class/thermal/cooling_device0/temp": "99999",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(machine, "_SYS", tmp_path)
    assert machine.battery() == (73, True)
    assert machine.temperature_millicelsius() == 56_500


def test_container_memory_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    physical = machine.memory_total_bytes()
    (tmp_path / "fs/cgroup").mkdir(parents=True)
    (tmp_path / "fs/cgroup/memory.max").write_text("1048576\n")
    monkeypatch.setattr(machine, "_SYS", tmp_path)
    assert machine.memory_total_bytes() == 1 << 20
    (tmp_path / "fs/cgroup/memory.max").write_text("max\n")
    assert machine.memory_total_bytes() >= physical


def test_calibration_counts_work_per_second_and_is_kept(tmp_path: Path) -> None:
    ticks = iter(range(1_000))
    score = calibrate(share_s=3.0, clock=lambda: float(next(ticks)))
    assert score == pytest.approx(4_000 / 3, abs=1)  # 2 rounds of 2,000 before the third second
    path = tmp_path / "calibration.json"
    path.write_text('{"ops_per_s": 42}')
    assert cached_calibration(path) == 42
    path.write_text("damaged")
    assert cached_calibration(path) > 1_000
    assert cached_calibration(path) == cached_calibration(path)


def test_installed_runtimes_by_metadata(tmp_path: Path) -> None:
    for name in ("wasmtime-50.0.1", "onnxruntime-1.31.1", "other-1"):
        (tmp_path / f"{name}.dist-info").mkdir()
    path = [str(tmp_path), "/nonexistent"]
    assert installed(["wasm", "onnx"], path=path) == {"wasm": "50.0.1"}  # onnx needs numpy too
    (tmp_path / "numpy-2.4.6.dist-info").mkdir()
    assert installed(["wasm", "onnx"], path=path) == {"wasm": "50.0.1", "onnx": "1.31.1"}
    assert installed(["onnx"], path=path) == {"onnx": "1.31.1"}
