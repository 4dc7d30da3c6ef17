"""The census of a study: how many objects its sender has of it, as far as the sender said."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from her2node.ledger.database import insert
from her2node.ledger.records import Census, SeriesCount
from her2node.ledger.schema import census, edition, result, study


def note(connection: Connection, study_instance_uid: str, answer: Census) -> None:
    """Keep the answer to the latest question: one that was asked earlier never takes its place."""
    row = {
        "asked_at": answer.asked_at,
        "series": json.dumps([[item.series_instance_uid, item.modality, item.objects] for item in answer.series]),
        "objects": answer.objects,
        "silence": answer.silence,
        "vain": answer.vain,
        "again_at": answer.again_at,
    }
    study_id = select(study.c.id).where(study.c.study_instance_uid == study_instance_uid).scalar_subquery()
    noting = insert(connection, census).values(study_id=study_id, **row)
    connection.execute(
        noting.on_conflict_do_update(
            index_elements=[census.c.study_id], set_=row, where=census.c.asked_at <= answer.asked_at
        )
    )


def of_studies(connection: Connection, study_ids: Sequence[int]) -> dict[int, Census]:
    """Study id to its census, where its sender was asked."""
    rows = connection.execute(select(census).where(census.c.study_id.in_(study_ids)))
    return {
        row.study_id: Census(
            asked_at=row.asked_at,
            series=tuple(SeriesCount(*item) for item in json.loads(row.series)),
            objects=row.objects,
            silence=row.silence,
            vain=row.vain,
            again_at=row.again_at,
        )
        for row in rows
    }


def own_series(connection: Connection, study_ids: Sequence[int]) -> dict[int, Mapping[str, int]]:
    """Study id to the series of the node's own results there, with the number of objects of each."""
    rows = connection.execute(
        select(
            edition.c.study_id,
            result.c.series_instance_uid,
            func.count(result.c.sop_instance_uid.distinct()).label("objects"),
        )
        .join(edition, edition.c.id == result.c.edition_id)
        .where(edition.c.study_id.in_(study_ids))
        .group_by(edition.c.study_id, result.c.series_instance_uid)
    )
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for row in rows:
        found[row.study_id][row.series_instance_uid] = row.objects
    return dict(found)
