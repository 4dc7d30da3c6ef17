"""Completion with what the enabled packages need and the site's times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial

from her2node.intake import completion
from her2node.ledger.records import Gathering
from her2node.models.needs import needs
from her2node.models.package import Package
from her2node.service.shelf import runnable
from her2node.settings import Settings


def judge_of(settings: Settings, packages: Sequence[Package]) -> Callable[[Gathering, datetime], completion.Verdict]:
    """``intake.completion.judge`` for these packages and the peers that count.

    Packages that may not run in this mode are not waited for.
    """
    wanted = tuple(
        completion.Need(need.package, need.modality, frozenset(need.roles), need.roi)
        for need in needs(runnable(packages, settings.demonstration))
    )
    times = completion.CompletionTimes(
        settings.completion.settle, settings.completion.quiet, settings.completion.patience
    )
    counting = frozenset(peer.ae for peer in settings.peers.values() if peer.counts)
    return partial(_judge, wanted, times, counting)


def _judge(
    wanted: Sequence[completion.Need],
    times: completion.CompletionTimes,
    counting: Collection[str],
    facts: Gathering,
    now: datetime,
) -> completion.Verdict:
    return completion.judge(facts, wanted, times, now, counting)
