"""Series: what changed and wants classifying, and what selection said."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from her2node.ledger.database import in_state
from her2node.ledger.editions import entered_until, roles_of
from her2node.ledger.records import Extent, Sibling, SpoolPlace, UnclassifiedSeries
from her2node.ledger.schema import edition, instance, series, study
from her2node.ledger.states import InstanceState


def unclassified(
    connection: Connection, limit: int, unchanged_since: datetime | None
) -> tuple[UnclassifiedSeries, ...]:
    """Series that changed since they were classified, with where their objects lie."""
    stale = (
        select(series, study.c.study_instance_uid)
        .join(study, study.c.id == series.c.study_id)
        .where(series.c.revision != series.c.classified_revision)
        .order_by(series.c.id)
        .limit(limit)
    )
    if unchanged_since is not None:
        stale = stale.where(series.c.changed_at <= unchanged_since)
    rows = connection.execute(stale).all()
    places = _places(connection, [row.id for row in rows])
    study_ids = {row.study_id for row in rows}
    roles = {study_id: _entered_roles(connection, study_id) for study_id in study_ids}
    beside = _classified(connection, study_ids)
    return tuple(
        UnclassifiedSeries(
            series_id=row.id,
            study_instance_uid=row.study_instance_uid,
            series_instance_uid=row.series_instance_uid,
            modality=row.modality,
            revision=row.revision,
            places=tuple(places[row.id]),
            entered_roles=roles[row.study_id],
            changed_at=row.changed_at,
            others=tuple(other for other in beside[row.study_id, row.modality] if other.series_id != row.id),
        )
        for row in rows
    )


def _classified(connection: Connection, study_ids: Collection[int]) -> dict[tuple[int, str], list[Sibling]]:
    """By study and modality the series whose extent was noted, each with its first object."""
    first = (
        select(func.min(instance.c.id).label("id"))
        .join(series, series.c.id == instance.c.series_id)
        .where(series.c.study_id.in_(study_ids), in_state(instance, InstanceState.FILED))
        .group_by(instance.c.series_id)
        .subquery()
    )
    rows = connection.execute(
        select(series, instance.c.association_id, instance.c.number.label("object"))
        .join(instance, instance.c.series_id == series.c.id)
        .join(first, first.c.id == instance.c.id)
        .where(series.c.extent_from.is_not(None))
        .order_by(series.c.id)
    )
    found: dict[tuple[int, str], list[Sibling]] = defaultdict(list)
    for row in rows:
        place = SpoolPlace(row.association_id, row.object)
        extent = (row.extent_from, row.extent_to)
        found[row.study_id, row.modality].append(Sibling(row.id, row.role, extent, row.instances, place))
    return found


def _places(connection: Connection, series_ids: Sequence[int]) -> dict[int, list[SpoolPlace]]:
    rows = connection.execute(
        select(instance.c.series_id, instance.c.association_id, instance.c.number)
        .where(instance.c.series_id.in_(series_ids), in_state(instance, InstanceState.FILED))
        .order_by(instance.c.id)
    )
    places: dict[int, list[SpoolPlace]] = defaultdict(list)
    for row in rows:
        places[row.series_id].append(SpoolPlace(row.association_id, row.number))
    return places


def _entered_roles(connection: Connection, study_id: int) -> dict[str, str]:
    number = connection.scalar(select(func.max(edition.c.number)).where(edition.c.study_id == study_id))
    return roles_of(entered_until(connection, study_id, number or 0))


def classify(
    connection: Connection,
    series_id: int,
    role: str | None,
    evidence: Sequence[str],
    extent: Extent | None,
    refused: str | None,
    revision: int,
) -> None:
    """Note what selection said of a series as it was at ``revision``; an older word never replaces a newer one."""
    connection.execute(
        update(series)
        .where(series.c.id == series_id, series.c.classified_revision < revision)
        .values(
            classified_revision=revision,
            role=role,
            evidence=json.dumps(list(evidence), ensure_ascii=False),
            extent_from=extent[0] if extent else None,
            extent_to=extent[1] if extent else None,
            refused=refused,
        )
    )


def judge_anew(connection: Connection, series_ids: Collection[int]) -> None:
    """Let series be classified again although nothing came: another series tells more of them."""
    connection.execute(update(series).where(series.c.id.in_(series_ids)).values(classified_revision=0))
