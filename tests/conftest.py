"""What every test may use: the shared reference data and the tools of others."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("HER2NODE_SHARED", Path(__file__).resolve().parents[2] / "shared")).resolve()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared reference data; a test that needs it skips loudly where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared reference data at {SHARED}: set HER2NODE_SHARED")
    return SHARED


def tool(name: str) -> str:
    """Full path of a tool of others, from this environment's scripts first or, if named so, from the system."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed: run `bash tests/run`, which installs it")
    return found


def system_tool(name: str) -> str:
    """Full path of a system tool (DCMTK, Redis, ...), never this environment's program of the same name."""
    for folder in ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/lib/postgresql/15/bin"):
        if (Path(folder) / name).exists():
            return str(Path(folder) / name)
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != scripts)
    found = shutil.which(name, path=path)
    if not found:
        pytest.skip(f"{name} is not installed: run `bash tests/run` as root, which installs it")
    return found
