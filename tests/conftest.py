"""What every test may use: the shared reference data and the tools of others.

A test that lacks data or a tool skips with the reason. Where the shared data is present, or in CI (``CI`` is set),
such a skip is a failure: nothing that can be had may go untested.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

SHARED = Path(os.environ.get("HER2NODE_SHARED") or Path(__file__).resolve().parents[2] / "shared").resolve()
NO_SHARED = "no shared reference data"
NO_TOOL = "is not installed"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared reference data; a test that needs it skips loudly where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"{NO_SHARED} at {SHARED}: set HER2NODE_SHARED")
    return SHARED


def tool(name: str) -> str:
    """Full path of a tool of others, from this environment's scripts first or, if named so, from the system."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} {NO_TOOL}: run `bash tests/run`, which installs it")
    return found


def system_tool(name: str) -> str:
    """Full path of a system tool (DCMTK, Redis, ...), never this environment's program of the same name."""
    postgres = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in (Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/local/bin"), *postgres):
        if (folder / name).exists():
            return str(folder / name)
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep) if part != scripts)
    found = shutil.which(name, path=path)
    if not found:
        pytest.skip(f"{name} {NO_TOOL}: run `bash tests/run` as root, which installs it")
    return found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database on a server of our own: unix socket only, run by somebody who is not root."""
    initdb, pg_ctl = system_tool("initdb"), system_tool("pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="her2node-pg-", dir="/tmp"))  # short: socket paths hold 107 bytes
    server = [pg_ctl, "--pgdata", str(folder / "data"), "--wait", "--silent", "--timeout", "60"]
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    try:
        as_nobody = _somebody(folder)
        _run([*as_nobody, initdb, "-D", str(folder / "data"), "-U", "her2node", "-A", "trust", "-E", "UTF8"], folder)
        _run([*as_nobody, *server, "--log", str(folder / "log"), "--options", options, "start"], folder)
        yield f"postgresql+psycopg://her2node@/postgres?host={folder}"
        _run([*as_nobody, *server, "--mode", "immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _somebody(folder: Path) -> list[str]:
    """PostgreSQL refuses root: become Debian's postgres then."""
    if os.geteuid() != 0:
        return []
    postgres = pwd.getpwnam("postgres")
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    return [system_tool("runuser"), "-u", "postgres", "--"]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    log = folder / "log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")


@pytest.fixture(autouse=True)
def _log_as_imported() -> None:
    """No test inherits what another made of the log."""
    structlog.reset_defaults()


def _forbidden(reason: str) -> bool:
    lacks_data = NO_SHARED in reason
    lacks_tool = NO_TOOL in reason
    return (lacks_data and SHARED.is_dir()) or (bool(os.environ.get("CI")) and (lacks_data or lacks_tool))


LONGEST = "tests/scenarios/test_kills.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file goes first: of several workers none is left alone with it in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


class Tally:
    """Counts truth tests, keeps what goes into the kill matrix, and finds skips that may not be."""

    def __init__(self) -> None:
        self.truth_passed = 0
        self.kills: list[str] = []
        self.forbidden: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed and "truth" in report.keywords:
            self.truth_passed += 1
        if report.when == "teardown":
            self.kills += (str(line) for name, line in report.user_properties if name == "kill matrix")
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            if _forbidden(reason):
                self.forbidden.append(f"{report.nodeid}: {reason}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.kills:
            terminalreporter.write_line("kill matrix (SIGKILLs at the point; objects filed; result sets an edition):")
        for line in self.kills:
            terminalreporter.write_line(f"  {line}")
        terminalreporter.write_line(f"truth tests passed: {self.truth_passed}")
        for line in self.forbidden:
            terminalreporter.write_line(f"may not be skipped here: {line}", red=True)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.forbidden and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Tally(), "her2node-tally")
