"""The facts of every edition that is not complete, for ``intake.completion`` to judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select, true

from her2node.ledger import census
from her2node.ledger.database import AnyRow, in_state
from her2node.ledger.editions import entered_until
from her2node.ledger.records import Census, Gathering, OpenAssociation, SeriesFacts
from her2node.ledger.schema import association, brought, edition, entered, instance, series, study
from her2node.ledger.states import EditionState, InstanceState


def gathering(connection: Connection, sender_ae: str | None = None) -> tuple[Gathering, ...]:
    """The facts in order of opening. Its cost goes with series and associations, not with objects."""
    open_ = connection.execute(
        select(
            edition.c.id,
            edition.c.study_id,
            edition.c.number,
            edition.c.opened_at,
            edition.c.evidence,
            study.c.study_instance_uid,
            study.c.sender_ae,
        )
        .join(study, study.c.id == edition.c.study_id)
        .where(in_state(edition, EditionState.GATHERING))
        .where(true() if sender_ae is None else study.c.sender_ae == sender_ae)
        .order_by(edition.c.id)
    ).all()
    if not open_:
        return ()
    study_ids = [row.study_id for row in open_]
    filed_until = connection.scalar(
        select(func.min(instance.c.received_at)).where(in_state(instance, InstanceState.ARRIVED))
    )
    of_series = _series(connection, study_ids)
    of_brought = _brought(connection, study_ids)
    entered_at = _entered_at(connection, study_ids)
    censuses = census.of_studies(connection, study_ids)
    own_series = census.own_series(connection, study_ids)
    return tuple(
        _facts(
            row,
            of_series[row.study_id],
            of_brought[row.study_id],
            entered_at.get((row.study_id, row.number)),
            entered_until(connection, row.study_id, row.number),
            filed_until,
            censuses.get(row.study_id),
            own_series.get(row.study_id, {}),
        )
        for row in open_
    )


def _series(connection: Connection, study_ids: Sequence[int]) -> dict[int, list[SeriesFacts]]:
    rows = connection.execute(select(series).where(series.c.study_id.in_(study_ids)).order_by(series.c.id))
    found: dict[int, list[SeriesFacts]] = defaultdict(list)
    for row in rows:
        extent = None if row.extent_from is None else (row.extent_from, row.extent_to)
        classified = row.revision == row.classified_revision
        found[row.study_id].append(
            SeriesFacts(row.series_instance_uid, row.modality, row.role, extent, row.refused, row.instances, classified)
        )
    return found


def _brought(connection: Connection, study_ids: Sequence[int]) -> dict[int, list[AnyRow]]:
    """Every (edition, association, series) of the studies with the association's own times."""
    rows = connection.execute(
        select(
            edition.c.study_id,
            brought,
            association.c.calling_ae,
            association.c.opened_at,
            association.c.ended_at,
            association.c.how,
            association.c.last_at.label("association_last_at"),
        )
        .join(edition, edition.c.id == brought.c.edition_id)
        .join(association, association.c.id == brought.c.association_id)
        .where(edition.c.study_id.in_(study_ids))
        .order_by(association.c.opened_at, association.c.id)
    )
    found: dict[int, list[AnyRow]] = defaultdict(list)
    for row in rows:
        found[row.study_id].append(row)
    return found


def _entered_at(connection: Connection, study_ids: Sequence[int]) -> dict[tuple[int, int], datetime]:
    rows = connection.execute(
        select(entered.c.study_id, entered.c.edition_number, func.max(entered.c.entered_at).label("at"))
        .where(entered.c.study_id.in_(study_ids))
        .group_by(entered.c.study_id, entered.c.edition_number)
    )
    return {(row.study_id, row.edition_number): row.at for row in rows}


def _facts(
    row: AnyRow,
    series_: Sequence[SeriesFacts],
    brought_: Sequence[AnyRow],
    entered_at: datetime | None,
    values: dict[str, str],
    filed_until: datetime | None,
    census_: Census | None,
    own_series: Mapping[str, int],
) -> Gathering:
    here = [item for item in brought_ if item.edition_id == row.id]
    last = [item.last_at for item in here] + ([entered_at] if entered_at else [])
    return Gathering(
        edition_id=row.id,
        study_instance_uid=row.study_instance_uid,
        number=row.number,
        first_at=min((item.first_at for item in here), default=row.opened_at),
        last_at=max(last, default=row.opened_at),
        series=tuple(series_),
        delivering=_delivering(brought_),
        aborted=_aborted(here),
        filed_until=filed_until,
        entered=values,
        noted=row.evidence or "",
        sender_ae=row.sender_ae,
        census=census_,
        own_series=own_series,
    )


def _delivering(brought_: Sequence[AnyRow]) -> tuple[OpenAssociation, ...]:
    """Open associations that brought anything of the study, in whatever edition."""
    open_: dict[str, OpenAssociation] = {}
    for item in brought_:
        if item.ended_at is None:
            before = open_.get(item.association_id)
            last_at = max(item.last_at, before.last_at) if before else item.last_at
            moved_on = item.association_last_at > last_at
            open_[item.association_id] = OpenAssociation(item.association_id, item.calling_ae, last_at, moved_on)
    return tuple(open_.values())


def _aborted(here: Sequence[AnyRow]) -> tuple[str, ...]:
    """Associations that broke off with a series that no later, released association brought again."""
    broken = {
        item.association_id: None
        for item in here
        if item.how in ("aborted", "lost") and not any(_resent(item, other) for other in here)
    }
    return tuple(broken)


def _resent(item: AnyRow, other: AnyRow) -> bool:
    return bool(
        other.series_id == item.series_id and other.how == "released" and other.opened_at >= item.association_last_at
    )
