"""What the node says about itself: one declared event a unit of work, UIDs and never names.

``emit(Event.X, key=value)`` writes one line. Fields are UIDs, counts, seconds, AE titles, addresses and reasons;
patient attributes never enter a log line (promise 8).
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, TextIO

import structlog

from her2node.errors import Her2nodeError

Field = str | int | float | bool | None


class Event(StrEnum):
    """Every event that the node logs. README lists them; a test compares the two."""

    STARTED = "started"
    """A role (receive, work, deliver) is ready."""
    STOPPED = "stopped"
    """A role ended in good order."""
    ROLE_DIED = "role-died"
    """A child of ``up`` ended unasked and is started again."""
    ASSOCIATION_REFUSED = "association-refused"
    """An association was refused; ``remedy`` holds the lines to add if it should be accepted."""
    ASSOCIATION_ENDED = "association-ended"
    """An association ended: released, aborted or lost, with counts."""
    INSTANCE_REFUSED = "instance-refused"
    """A C-STORE was answered with a failure."""
    SPOOL_RECOVERED = "spool-recovered"
    """Objects from before a restart were taken in."""
    LEDGER_AWAY = "ledger-away"
    """The receiver cannot tell the ledger what it stored; it keeps storing and tells it later."""
    INSTANCE_SET_ASIDE = "instance-set-aside"
    """A stored object cannot be used and is kept aside, with the reason."""
    EDITION_OPENED = "edition-opened"
    """A study has something new and waits for completion."""
    EDITION_COMPLETE = "edition-complete"
    """A study is complete, by content, quiet, patience or command."""
    EDITION_READ = "edition-read"
    """A study was analysed: the line that tells its story."""
    EDITION_FAILED = "edition-failed"
    """Analysis failed for good."""
    JOB_RETRIED = "job-retried"
    """A job failed or its worker died; it will be tried again."""
    RESULT_HELD = "result-held"
    """A result has nowhere to go; ``remedy`` holds the lines to add."""
    DELIVERED = "delivered"
    """Objects were accepted by a peer."""
    DELIVERY_CONFIRMED = "delivery-confirmed"
    """A peer was asked and has the objects."""
    DELIVERY_POSTPONED = "delivery-postponed"
    """A peer is away; the delivery will be tried again."""
    DELIVERY_REFUSED = "delivery-refused"
    """A peer refused for good; somebody must look."""
    LEADER_ELECTED = "leader-elected"
    """This process now dispatches, watches completion and keeps house."""
    HOUSE_KEPT = "house-kept"
    """Old studies were removed by retention."""
    LEDGER_UPGRADED = "ledger-upgraded"
    """The ledger's schema was upgraded after a backup."""
    PACKAGE_REFUSED = "package-refused"
    """A model package was not loaded, with the reason."""
    UNEXPECTED = "unexpected"
    """An error nobody foresaw, with its chain."""


def configure(form: Literal["console", "json"] = "console", stream: TextIO | None = None) -> None:
    """Set up logging for this process: events to ``stream`` (default: standard error) as lines of text or JSON."""
    out = stream if stream is not None else sys.stderr
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=22)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # One write a line: roles share a stream, and `print` writes the end of a line by itself if nothing is buffered.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=out, force=True)
    # Both quote attribute values, names of patients among them, in what they log and warn of.
    for library in ("pydicom", "pynetdicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    logging.captureWarnings(False)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom(\..*)?$")


def emit(event: Event, **fields: Field) -> None:
    """Log one event. Fields that are None are left out."""
    logger = structlog.get_logger()
    shown = {key: value for key, value in fields.items() if value is not None}
    if event in _ALERTS:
        logger.error(event.value, **shown)
    else:
        logger.info(event.value, **shown)


def emit_exception(error: BaseException, **fields: Field) -> None:
    """Log an error that nobody foresaw, with its chain of causes.

    Of errors of others only the type and the place are told: their words may quote a value of a data set.
    """
    structlog.get_logger().error(Event.UNEXPECTED.value, chain="\n".join(_chain(error)), **fields)


def _chain(error: BaseException) -> Iterator[str]:
    """The error and its causes, latest first, each with its frames, innermost last."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        words = str(current) if isinstance(current, Her2nodeError | OSError) else ""
        yield f"{type(current).__name__}: {words}".rstrip(": ")
        for frame in traceback.extract_tb(current.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} {frame.name}"
        current = current.__cause__ or current.__context__


_ALERTS = frozenset(
    {Event.EDITION_FAILED, Event.DELIVERY_REFUSED, Event.ROLE_DIED, Event.PACKAGE_REFUSED, Event.RESULT_HELD}
)
