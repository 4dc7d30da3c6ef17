"""The roles of a running node, each a process: receive, work, deliver; and `up`, which runs all three.

What a role does not need it does not import: the receiver stays small.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from her2node import log
from her2node.errors import SettingsRefused
from her2node.log import Event, emit
from her2node.service.clock import now
from her2node.service.parts import ledger_of, open_ledger_of, spool_of
from her2node.service.supervisor import Supervisor, command_of, follow_parent, say_ready, stop_on_signals
from her2node.settings import Settings

if TYPE_CHECKING:
    from her2node.jobs.leader import Leader
    from her2node.jobs.queue import QueueOptions


def up(settings: Settings, config: Path | None) -> int:
    """Run receiver, worker and courier until SIGTERM; the exit status."""
    from her2node.jobs.queue import discard_broker

    log.configure(settings.log_format)
    supervisor = Supervisor(command_of(str(config) if config else None))
    stop_on_signals(supervisor.stop)
    with open_ledger_of(settings):
        pass  # made or upgraded once, before three roles open it
    discard_broker(queue_options_of(settings))
    status = supervisor.run(partial(_ready, "up", settings))
    emit(Event.STOPPED, role="up")
    return status


def receive(settings: Settings) -> None:
    """Receive until SIGTERM."""
    from her2node.intake.receivers import receive as receive_until

    stop = _begin(settings)
    receive_until(
        settings.reception,
        settings.spool_dir,
        lambda: ledger_of(settings),
        stop,
        on_ready=lambda ports: _role_ready("receive", ports=", ".join(map(str, ports))),
    )
    emit(Event.STOPPED, role="receive")


def work(settings: Settings) -> None:
    """Analyse, and lead when the ledger's lease is ours, until SIGTERM."""
    from her2node.jobs.work import WorkOptions, run_worker

    _begin(settings, watched=False)
    options = WorkOptions(
        name=worker_name(settings),
        queue=queue_options_of(settings),
        processes=settings.jobs.workers,
        tick=settings.jobs.tick,
    )
    status = run_worker(
        options, partial(_build_run, settings), partial(_build_leader, settings), now, lambda: _role_ready("work")
    )
    emit(Event.STOPPED, role="work")
    if status:
        raise SystemExit(status)


def deliver(settings: Settings) -> None:
    """Send results until SIGTERM."""
    from her2node.delivery.courier import Courier
    from her2node.delivery.desk import Timing
    from her2node.dimse.requestor import Requestor
    from her2node.dimse.tls import client_context

    stop = _begin(settings)
    tls = client_context(settings.delivery.tls) if any(peer.tls for peer in settings.peers.values()) else None
    timing = Timing(
        first_pause=settings.delivery.first_pause,
        longest_pause=settings.delivery.longest_pause,
        lease=settings.jobs.lease,
        heartbeat=settings.jobs.heartbeat,
        tick=settings.jobs.tick,
        settle=settings.completion.settle,
        survey=min(timedelta(seconds=30), settings.delivery.longest_pause),
    )
    ledger = ledger_of(settings)
    courier = Courier(
        ledger,
        spool_of(settings).result_path,
        Requestor(settings.reception.ae_title, tls),
        settings.peers,
        timing,
        confirms=settings.delivery.confirm,
    )
    _role_ready("deliver")
    courier.run(stop)
    ledger.close()
    emit(Event.STOPPED, role="deliver")


def queue_options_of(settings: Settings) -> QueueOptions:
    """Where the broker is. Raises SettingsRefused for a URL that is none."""
    from her2node.jobs.queue import EMBEDDED, QueueOptions

    url = settings.broker_url
    if url != EMBEDDED and not url.startswith(("redis://", "rediss://", "redis+socket://")):
        raise SettingsRefused(f"jobs.broker is {url.split('://')[0]!r}", remedy="`embedded` or a redis:// URL")
    settings.broker_dir.mkdir(parents=True, exist_ok=True)
    return QueueOptions(url, settings.broker_dir, settings.jobs.time_limit)


def worker_name(settings: Settings) -> str:
    """The same over restarts, and another for each node on this machine."""
    node = hashlib.sha256(str(settings.state_dir).encode()).hexdigest()[:8]
    return f"work-{node}@{socket.gethostname()}"


def _begin(settings: Settings, *, watched: bool = True) -> threading.Event:
    """Logging, the state folder, and an event that signals set, unless the role minds its signals itself."""
    log.configure(settings.log_format)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    if watched:
        stop_on_signals(stop)
    follow_parent()
    return stop


def _build_run(settings: Settings) -> Callable[[int], None]:
    from her2node.service.workshop import workshop_of

    return workshop_of(settings).run


def _build_leader(settings: Settings, send: Callable[[int], None]) -> Leader:
    from her2node.service.leading import leader_of

    return leader_of(settings, send)


def _role_ready(role: str, **fields: str) -> None:
    emit(Event.STARTED, role=role, **fields)
    say_ready()


def _ready(role: str, settings: Settings, seconds: float) -> None:
    emit(
        Event.STARTED,
        role=role,
        ae_title=settings.reception.ae_title,
        port=settings.reception.port or None,
        tls_port=settings.reception.tls.port or None,
        seconds=round(seconds, 2),
    )
