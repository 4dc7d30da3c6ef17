"""What happened to a study, and when: the lines of its story."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from her2node.ledger.schema import edition, event, study


def note(
    connection: Connection,
    kind: str,
    now: datetime,
    *,
    study_uid: str | None = None,
    edition_id: int | None = None,
    detail: str = "",
) -> None:
    """Note an event of a study or an edition (then its study is known), or of the node."""
    if edition_id is not None:
        owner = select(edition.c.study_id).where(edition.c.id == edition_id).scalar_subquery()
    else:
        owner = select(study.c.id).where(study.c.study_instance_uid == study_uid).scalar_subquery()
    connection.execute(
        insert(event).values(at=now, kind=str(kind), study_id=owner, edition_id=edition_id, detail=detail)
    )
