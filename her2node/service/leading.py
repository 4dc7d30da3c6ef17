"""The leader's steps, in the order in which a study goes through them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from her2node.jobs.classify import classify_changed
from her2node.jobs.completing import complete_ready
from her2node.jobs.dispatch import DispatchOptions, dispatch, requeue_expired, send_again
from her2node.jobs.door import Door
from her2node.jobs.filing import file_arrivals
from her2node.jobs.housekeeping import HouseRules, keep_house
from her2node.jobs.leader import LONGEST_LEASE, Leader, Step
from her2node.selection.rules import SiteRule
from her2node.service.completing import judge_of
from her2node.service.parts import ledger_of, spool_of
from her2node.service.shelf import shelf_of
from her2node.settings import Settings

_HOUSE_EVERY = timedelta(seconds=60)


def rules_of(settings: Settings) -> tuple[SiteRule, ...]:
    """The site's rules, as selection takes them."""
    return tuple(SiteRule.of(rule.role, rule.patterns) for rule in settings.selection.rules)


def leader_of(settings: Settings, send: Callable[[int], None]) -> Leader:
    """A leader with a ledger of its own; ``send`` puts a job id into the queue."""
    ledger, spool, door = ledger_of(settings), spool_of(settings), Door()
    judge = judge_of(settings, shelf_of(settings, networks=False).on)
    queueing = DispatchOptions(settings.jobs.resend, settings.jobs.window, settings.jobs.attempts)
    house = HouseRules(timedelta(days=settings.retention.days), timedelta(days=settings.retention.set_aside_days))
    still = min(settings.completion.settle / 2, timedelta(seconds=1))
    classifying = partial(
        classify_changed, ledger, spool, rules_of(settings), still, door, interval_s=settings.dce.interval_s or None
    )
    steps = (
        Step("filing", partial(file_arrivals, ledger, spool, door)),
        Step("classifying", classifying),
        Step("completing", partial(complete_ready, ledger, judge, door)),
        Step("requeueing", partial(requeue_expired, ledger, queueing)),
        Step("dispatching", partial(dispatch, ledger, send, queueing)),
        Step("housekeeping", partial(keep_house, ledger, spool, house), every=_HOUSE_EVERY, patient=True),
    )
    elected = (Step("sending again", partial(send_again, ledger, send, queueing)),)
    holder = f"{socket.gethostname()}:{os.getpid()}"
    lease = min(settings.jobs.lease, LONGEST_LEASE)
    return Leader(ledger, holder, steps, on_elected=elected, lease=lease, door=door)
