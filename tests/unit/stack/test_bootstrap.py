"""What the wrapper's bootstrap says where an environment cannot be made."""

from pathlib import Path

import pytest

from stack import bootstrap


def test_missing_venv_module_names_the_package(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(bootstrap.SetupFailed, match="apt install python3-venv"):
        bootstrap.create(tmp_path / "venv")


def test_unwritable_place_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bootstrap.os, "access", lambda *_: False)
    with pytest.raises(bootstrap.SetupFailed, match="SOUK_VENV"):
        bootstrap.check_writable(tmp_path / "venv")


def test_progress_counts_downloaded_local_and_present_packages(capsys) -> None:
    lines = [
        "Collecting absl-py==2.5.1 (from -r requirements.lock (line 1))\n",
        "Processing ./wheels/numpy-2.4.6-cp311.whl (from -r requirements.lock (line 2))\n",
        "Requirement already satisfied: six==1 in /x\n",
        "Installing collected packages: absl-py\n",
    ]
    assert len(list(bootstrap.progress(iter(lines), 3))) == 4
    said = capsys.readouterr().err
    assert "package 1 of 3: absl" in said
    assert "unpacking 3 packages" in said


def test_environment_drops_what_would_lead_pip_elsewhere(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PIP_USER", "1")
    found = bootstrap.clean_environment()
    assert "PYTHONPATH" not in found
    assert found["PIP_USER"] == "0"
