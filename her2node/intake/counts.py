"""What the sender's own count says of a study: a pure comparison of its census with what is here.

The numbers of the series decide. Where some series have none, the study's number decides over those together, for it
is the sum of all. Where that is missing too, or nothing was answered, the count says nothing and the extent rule
stands in for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from her2node.ledger.records import Census, Gathering


@dataclass(frozen=True)
class Count:
    """Whether the count ``decides``, what is ``lacking`` by it, and the ``evidence`` for when nothing is."""

    decides: bool
    lacking: tuple[str, ...] = ()
    evidence: str = ""


def count(facts: Gathering, modalities: Collection[str]) -> Count:
    """What the sender's census says of the series of these modalities; the node's own results are left out."""
    census, ae = facts.census, facts.sender_ae
    if census is None or census.asked_at < facts.last_at:
        return Count(True, (f"waits for {ae} to say how many objects it has",))
    if census.silence:
        return _undecided(f"{ae} was asked in vain how many objects it has ({census.silence})")
    here = {item.series_instance_uid: item.instances for item in facts.series}
    wanted = _wanted(facts, census, modalities)
    if not wanted:
        return _undecided(f"{ae} shows no series of {' or '.join(sorted(modalities))} in this study")
    unsaid = [uid for uid, objects in wanted.items() if objects is None]
    lacking = [
        f"{ae} has {objects} objects of series {uid}, {here.get(uid, 0)} are here"
        for uid, objects in wanted.items()
        if objects is not None and here.get(uid, 0) < objects
    ]
    if not unsaid:
        total = sum(objects or 0 for objects in wanted.values())
        return Count(True, tuple(lacking), f"{ae} has {total} objects in {len(wanted)} series, all are here")
    if census.objects is None:
        return _undecided(f"{ae} gives no number of objects for {len(unsaid)} series")
    return _by_study(facts, census, census.objects, {**facts.own_series, **here}, lacking)


def _wanted(facts: Gathering, census: Census, modalities: Collection[str]) -> dict[str, int | None]:
    """SeriesInstanceUID to the number of objects, of every series that packages may want."""
    known = {item.series_instance_uid: item.modality for item in facts.series}
    return {
        item.series_instance_uid: item.objects
        for item in census.series
        if item.series_instance_uid not in facts.own_series
        and (item.modality or known.get(item.series_instance_uid, "")) in modalities
    }


def _by_study(facts: Gathering, census: Census, objects: int, here: Mapping[str, int], lacking: list[str]) -> Count:
    """The series without a number together: the study's number less the numbers that there are."""
    ae = facts.sender_ae
    rest = objects - sum(item.objects for item in census.series if item.objects is not None)
    of_rest = sum(here.get(item.series_instance_uid, 0) for item in census.series if item.objects is None)
    if of_rest < rest:
        of_all = sum(here.get(item.series_instance_uid, 0) for item in census.series)
        lacking = [*lacking, f"{ae} has {objects} objects of the study, {of_all} are here"]
    return Count(True, tuple(lacking), f"{ae} has {objects} objects of the study, all are here")


def _undecided(why: str) -> Count:
    return Count(False, (), f"{why}: the phases' extents decided instead")
