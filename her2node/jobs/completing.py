"""The completion clock: every gathering edition is judged, and a complete one becomes a due job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from her2node.intake.completion import Verdict
from her2node.jobs.door import Door
from her2node.ledger import Ledger
from her2node.ledger.records import Gathering
from her2node.log import Event, emit

Judge = Callable[[Gathering, datetime], Verdict]
"""``intake.completion.judge`` with the packages' needs and the site's times."""


def complete_ready(ledger: Ledger, judge: Judge, door: Door, now: datetime) -> bool:
    """Close the editions that are complete. A study that cannot be judged holds up only itself."""
    for facts in ledger.gathering():
        door.attempt(
            f"completion of {facts.study_instance_uid}", partial(_close_if_complete, ledger, judge, facts, now)
        )
    return False


def _close_if_complete(ledger: Ledger, judge: Judge, facts: Gathering, now: datetime) -> None:
    verdict = judge(facts, now)
    if verdict.by is None:
        if verdict.sentence != facts.noted:
            ledger.note_waiting(facts.edition_id, verdict.sentence)
        return
    if not ledger.complete(facts.edition_id, verdict.by, verdict.sentence, now):
        return
    emit(
        Event.EDITION_COMPLETE,
        study=facts.study_instance_uid,
        edition=facts.number,
        by=verdict.by,
        evidence=verdict.sentence,
    )
