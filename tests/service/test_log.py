"""Logs: one event a line, and no word of a data set."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from her2node import log
from her2node.errors import GantryTilt


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in ("pydicom", "pynetdicom")}
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_an_event_is_one_line_of_json_and_leaves_out_what_is_none() -> None:
    out = StringIO()
    log.configure("json", out)
    log.emit(log.Event.STARTED, role="work", port=None)
    (line,) = out.getvalue().splitlines()
    assert json.loads(line).items() >= {"event": "started", "role": "work"}.items()
    assert "port" not in json.loads(line)


def test_an_unforeseen_error_is_told_with_its_chain_and_without_the_words_of_others() -> None:
    out = StringIO()
    log.configure("json", out)
    try:
        try:
            int("Li^Na")
        except ValueError as error:
            raise GantryTilt("series 1.2.3") from error
    except GantryTilt as error:
        log.emit_exception(error, study="1.2.3")
    chain = json.loads(out.getvalue())["chain"]
    assert "GantryTilt" in chain
    assert "series 1.2.3" in chain
    assert "ValueError" in chain
    assert "test_log.py" in chain
    assert "Li^Na" not in chain


def test_what_pydicom_quotes_of_a_data_set_is_not_logged() -> None:
    out = StringIO()
    log.configure("json", out)
    logging.getLogger("pydicom").error("invalid value for PN: 'Li^Na'")
    assert out.getvalue() == ""


def test_lines_of_processes_that_share_a_stream_are_whole(tmp_path: Path) -> None:
    """Containers run unbuffered: there a line that takes two writes is glued to that of another process."""
    shared = tmp_path / "log"
    code = (
        "from her2node import log\n"
        "log.configure('json')\n"
        "for _ in range(300):\n"
        "    log.emit(log.Event.DELIVERED, objects=3)\n"
    )
    with shared.open("ab") as stream:
        writers = [subprocess.Popen([sys.executable, "-u", "-c", code], stdout=stream, stderr=stream) for _ in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    lines = shared.read_text().splitlines()
    assert len(lines) == 900
    assert all(json.loads(line)["event"] == "delivered" for line in lines)
