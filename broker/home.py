"""Where the platform's data directory is; light, as the command line asks before anything else."""

import os
from pathlib import Path

RUN_SETTINGS = Path("run") / "settings.json"


def default_home() -> Path:
    """``$SOUK_HOME``, else ``souk`` in the XDG data directory of this user."""
    if chosen := os.environ.get("SOUK_HOME"):
        return Path(chosen).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "souk"
