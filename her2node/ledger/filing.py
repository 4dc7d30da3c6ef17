"""Filing: what each arrival is, decided from its header and what is known, and written in a few statements a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from her2node.dicom.identity import InstanceIdentity
from her2node.ledger.database import AnyRow, in_state, insert
from her2node.ledger.editions import gathering_edition, latest
from her2node.ledger.records import Filing, FilingEffect, OpenedEdition, SetAside
from her2node.ledger.schema import association, instance, result, study
from her2node.ledger.shelving import Batch, Shelf, shelve
from her2node.ledger.states import INSTANCE, EditionState, InstanceEvent, InstanceState

_IMAGES = frozenset({"CT", "MR", "PT"})
"""Modalities of images that were acquired, as against what was made of them."""


@dataclass(frozen=True)
class Known:
    """What the ledger knows of one study before a batch, and learns within it."""

    study_id: int
    identity: InstanceIdentity
    digests: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID to digest of what is filed."""


@dataclass(frozen=True)
class Decision:
    """What one arrival is."""

    event: InstanceEvent
    reason: str = ""
    detail: str = ""


def _belongs(filing: Filing, requested: tuple[str, str], own: Collection[str]) -> bool:
    """Whether an arrival would be filed as the first of its study."""
    identity = filing.identity
    named = identity.sop_class_uid, identity.sop_instance_uid
    return named == requested and identity.sop_instance_uid not in own


def decide(filing: Filing, requested: tuple[str, str], known: Known, own: Collection[str]) -> Decision:
    """What an arrival is. ``requested``: SOP Class and Instance UID of the C-STORE request."""
    identity = filing.identity
    if (identity.sop_class_uid, identity.sop_instance_uid) != requested:
        return _aside("mismatched-uid", f"the request named {requested[1]} of {requested[0]}")
    if identity.sop_instance_uid in own:
        return Decision(InstanceEvent.RECOGNISE)
    conflicts = known.identity.conflicts(identity)
    if conflicts:
        return _aside("conflicting-identity", f"{', '.join(conflicts)} differ within the study")
    digest = known.digests.get(identity.sop_instance_uid)
    if digest is None:
        return Decision(InstanceEvent.FILE)
    if digest == filing.digest:
        return Decision(InstanceEvent.REPEAT)
    return _aside("conflicting-duplicate", "another object of the study has the same SOPInstanceUID")


def _aside(reason: str, detail: str) -> Decision:
    return Decision(InstanceEvent.SET_ASIDE, reason, detail)


def file(connection: Connection, filings: Sequence[Filing | SetAside], now: datetime) -> FilingEffect:
    """File a batch: one decision an arrival, then one statement a table."""
    arrived = _arrived(connection, [item.instance_id for item in filings])
    headers = [item for item in _once(filings) if isinstance(item, Filing) and item.instance_id in arrived]
    given_up = [item for item in _once(filings) if isinstance(item, SetAside) and item.instance_id in arrived]
    own = _own(connection, headers)
    studies = _studies(connection, headers, arrived, own, now)
    decisions = _decide_all(headers, arrived, studies, own)
    aside = given_up + [
        SetAside(item.instance_id, decision.reason, decision.detail)
        for item, decision in decisions
        if decision.event is InstanceEvent.SET_ASIDE
    ]
    filed = [item for item, decision in decisions if decision.event is InstanceEvent.FILE]
    repeated = [item for item, decision in decisions if decision.event is InstanceEvent.REPEAT]
    editions, opened = _editions(connection, filed, studies, now)
    batch = Batch(arrived, {uid: known.study_id for uid, known in studies.items()}, editions)
    shelves = shelve(connection, batch, filed, repeated, now)
    _remember(connection, studies, filed, arrived, now)
    _write(connection, [_row(item, decision, studies, shelves, now) for item, decision in decisions])
    _write(connection, [_row_aside(item, now) for item in given_up])
    return FilingEffect(
        filed=len(filed),
        duplicates=len(repeated),
        own=sum(decision.event is InstanceEvent.RECOGNISE for _, decision in decisions),
        aside=tuple(aside),
        opened=opened,
    )


def _once(filings: Iterable[Filing | SetAside]) -> list[Filing | SetAside]:
    """The first word on each arrival, in order of arrival."""
    first: dict[int, Filing | SetAside] = {}
    for item in filings:
        first.setdefault(item.instance_id, item)
    return [first[instance_id] for instance_id in sorted(first)]


def _arrived(connection: Connection, instance_ids: Sequence[int]) -> dict[int, AnyRow]:
    """Those that nobody has filed, ours until the transaction ends."""
    rows = connection.execute(
        select(
            instance.c.id,
            instance.c.association_id,
            instance.c.sop_class_uid,
            instance.c.sop_instance_uid,
            instance.c.received_at,
            association.c.calling_ae,
        )
        .join(association, association.c.id == instance.c.association_id)
        .where(instance.c.id.in_(instance_ids), in_state(instance, InstanceState.ARRIVED))
        .order_by(instance.c.id)
        .with_for_update(key_share=True, of=instance)
    )
    return {row.id: row for row in rows}


def _own(connection: Connection, headers: Sequence[Filing]) -> set[str]:
    uids = {item.identity.sop_instance_uid for item in headers}
    return set(connection.scalars(select(result.c.sop_instance_uid).where(result.c.sop_instance_uid.in_(uids))))


def _studies(
    connection: Connection,
    headers: Sequence[Filing],
    arrived: Mapping[int, AnyRow],
    own: Collection[str],
    now: datetime,
) -> dict[str, Known]:
    """The studies of a batch by UID: made where something is filed, locked, with the digests that could be met again.

    What is set aside as the only object of a study makes none: it would stand in no list of studies.
    """
    first: dict[str, AnyRow] = {}
    for item in headers:
        row = arrived[item.instance_id]
        if _belongs(item, (row.sop_class_uid, row.sop_instance_uid), own):
            first.setdefault(item.identity.study_instance_uid, row)
    new = [
        {"study_instance_uid": uid, "sender_ae": row.calling_ae, "first_at": row.received_at, "changed_at": now}
        for uid, row in sorted(first.items())
    ]
    if new:
        connection.execute(insert(connection, study).on_conflict_do_nothing(), new)
    rows = connection.execute(
        select(study)
        .where(study.c.study_instance_uid.in_({item.identity.study_instance_uid for item in headers}))
        .order_by(study.c.study_instance_uid)
        .with_for_update(key_share=True)
    )
    known = {row.study_instance_uid: Known(row.id, _identity(row)) for row in rows}
    _learn_digests(connection, known, {item.identity.sop_instance_uid for item in headers})
    return known


def _identity(row: AnyRow) -> InstanceIdentity:
    return InstanceIdentity(
        sop_class_uid="",
        sop_instance_uid="",
        series_instance_uid="",
        study_instance_uid=row.study_instance_uid,
        patient_id=row.patient_id,
        issuer_of_patient_id=row.issuer_of_patient_id,
        patient_birth_date=row.patient_birth_date,
        patient_sex=row.patient_sex,
    )


def _learn_digests(connection: Connection, studies: Mapping[str, Known], uids: Collection[str]) -> None:
    of_id = {known.study_id: known for known in studies.values()}
    rows = connection.execute(
        select(instance.c.study_id, instance.c.sop_instance_uid, instance.c.digest).where(
            instance.c.study_id.in_(of_id),
            instance.c.sop_instance_uid.in_(uids),
            in_state(instance, InstanceState.FILED),
        )
    )
    for row in rows:
        of_id[row.study_id].digests[row.sop_instance_uid] = row.digest


def _decide_all(
    headers: Sequence[Filing], arrived: Mapping[int, AnyRow], studies: dict[str, Known], own: Collection[str]
) -> list[tuple[Filing, Decision]]:
    """Decide in order of arrival; what is filed is known to the next. ``studies`` learns."""
    decisions = []
    for item in headers:
        uid = item.identity.study_instance_uid
        row = arrived[item.instance_id]
        known = studies.get(uid) or _unknown(uid)
        decision = decide(item, (row.sop_class_uid, row.sop_instance_uid), known, own)
        if decision.event is InstanceEvent.FILE:
            studies[uid].digests[item.identity.sop_instance_uid] = item.digest
            studies[uid] = replace(studies[uid], identity=studies[uid].identity.filled_from(item.identity))
        decisions.append((item, decision))
    return decisions


def _unknown(study_instance_uid: str) -> Known:
    """A study of which nothing was ever filed."""
    blank = InstanceIdentity(
        sop_class_uid="",
        sop_instance_uid="",
        series_instance_uid="",
        study_instance_uid=study_instance_uid,
        patient_id="",
        issuer_of_patient_id="",
        patient_birth_date="",
        patient_sex="",
    )
    return Known(0, blank)


def _remember(
    connection: Connection,
    studies: Mapping[str, Known],
    filed: Sequence[Filing],
    arrived: Mapping[int, AnyRow],
    now: datetime,
) -> None:
    """What the studies learnt: the patient, and as sender whoever called with the first image."""
    first_images: dict[str, str] = {}
    for item in filed:
        if item.modality in _IMAGES:
            first_images.setdefault(item.identity.study_instance_uid, arrived[item.instance_id].calling_ae)
    for uid in sorted({item.identity.study_instance_uid for item in filed}):
        identity = studies[uid].identity
        this = update(study).where(study.c.id == studies[uid].study_id)
        connection.execute(
            this.values(
                patient_id=identity.patient_id,
                issuer_of_patient_id=identity.issuer_of_patient_id,
                patient_birth_date=identity.patient_birth_date,
                patient_sex=identity.patient_sex,
                changed_at=now,
            )
        )
        if uid in first_images:
            unsent = this.where(study.c.sender_sent_images.is_(False))
            connection.execute(unsent.values(sender_ae=first_images[uid], sender_sent_images=True))


def _editions(
    connection: Connection, filed: Sequence[Filing], studies: Mapping[str, Known], now: datetime
) -> tuple[dict[str, OpenedEdition], tuple[OpenedEdition, ...]]:
    """The gathering edition of each study of the batch (opened where something was filed), and those just opened."""
    current: dict[str, OpenedEdition] = {}
    newest = latest(connection, [known.study_id for known in studies.values()])
    for uid, known in studies.items():
        edition = newest.get(known.study_id)
        if edition is not None and edition.state is EditionState.GATHERING:
            current[uid] = OpenedEdition(edition.edition_id, uid, edition.number)
    opened = []
    for uid in sorted({item.identity.study_instance_uid for item in filed} - current.keys()):
        current[uid], _ = gathering_edition(connection, studies[uid].study_id, uid, "images", now)
        opened.append(current[uid])
    return current, tuple(opened)


def _row(
    item: Filing,
    decision: Decision,
    studies: Mapping[str, Known],
    shelves: Mapping[int, Shelf],
    now: datetime,
) -> dict[str, object]:
    shelf, known = shelves.get(item.instance_id), studies.get(item.identity.study_instance_uid)
    return {
        "which": item.instance_id,
        "state": str(INSTANCE.step(InstanceState.ARRIVED, decision.event)),
        "study_id": known.study_id if known else None,
        "series_id": shelf.series_id if shelf else None,
        "edition_number": shelf.edition_number if shelf else None,
        "digest": item.digest,
        "reason": decision.reason or None,
        "detail": decision.detail or None,
        "filed_at": now,
    }


def _row_aside(item: SetAside, now: datetime) -> dict[str, object]:
    return {
        "which": item.instance_id,
        "state": str(INSTANCE.step(InstanceState.ARRIVED, InstanceEvent.SET_ASIDE)),
        "study_id": None,
        "series_id": None,
        "edition_number": None,
        "digest": None,
        "reason": item.reason,
        "detail": item.detail,
        "filed_at": now,
    }


def _write(connection: Connection, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(update(instance).where(instance.c.id == bindparam("which")), rows)
