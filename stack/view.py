"""What ``up`` and ``status`` print."""

import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack.home import ProcessState, State

if TYPE_CHECKING:
    from broker.settings import Settings


def say(name: str, text: str) -> None:
    """One line of progress: who, what."""
    print(f"  {name:<10} {text}", flush=True)


def announce(settings: "Settings") -> None:
    """What a person needs to know once the platform is up."""
    lines = (
        ("dashboard", settings.api_url),
        ("API", f"{settings.api_url}/v1, reference at {settings.api_url}/docs"),
        ("devices", f"{settings.agent_url}, {settings.mqtt_url_for_devices}"),
        ("operator", f"key in {settings.credentials_dir / 'operator.json'}"),
        ("data", str(settings.home)),
    )
    print("\nsouk is up")
    for name, text in lines:
        print(f"  {name:<10} {text}")
    print(f"  stop it by {'Ctrl-C or ' if sys.stdout.isatty() else ''}`souk down`\n", flush=True)


def status_json(state: State) -> str:
    """The state for programs."""
    running = state.supervisor is not None
    return json.dumps(
        {
            "running": running,
            "phase": state.phase if running else "stopped",
            "api_url": state.api_url,
            "agent_url": state.agent_url,
            "mqtt_url": state.mqtt_url,
            "processes": {name: _facts(each) for name, each in state.processes.items()},
        },
        indent=2,
    )


def status_text(state: State) -> str:
    """The state for people."""
    if state.supervisor is None:
        return "souk is not running; start it by `souk up`"
    rows = [("PROCESS", "STATE", "PID", "SINCE", "RESTARTS", "MEMORY", "LAST END")]
    for name, each in state.processes.items():
        facts = _facts(each)
        memory = f"{facts['memory_bytes'] / 2**20:.0f} MiB"
        numbers = (str(each.pid or "-"), _span(facts["since_s"]), str(each.restarts), memory)
        rows.append((name, each.state, *numbers, each.last_exit))
    return f"souk is {state.phase}, API at {state.api_url}\n\n{table(rows)}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _facts(each: ProcessState) -> dict[str, Any]:
    return {
        "state": each.state,
        "pid": each.pid,
        "since_s": round(time.time() - each.since, 1) if each.pid else 0.0,
        "restarts": each.restarts,
        "memory_bytes": _memory_bytes(each.pid),
        "last_exit": each.last_exit,
    }


def _memory_bytes(pid: int) -> int:
    """Resident memory of a process, 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
