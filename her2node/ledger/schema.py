"""The tables. The migrations make them; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC to the microsecond; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} names no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _index_where(name: str, condition: str, *columns: Column[Any], unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(condition), postgresql_where=text(condition))


# SQLite gives row numbers only to INTEGER PRIMARY KEY.
_Id = BigInteger().with_variant(Integer(), "sqlite")


association = Table(
    "association",
    metadata,
    Column("id", Text, primary_key=True),
    Column("calling_ae", Text, nullable=False),
    Column("called_ae", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("how", Text),
    Column("instances", Integer),
)
_index_where("ix_association_open", "ended_at IS NULL", association.c.receiver)

study = Table(
    "study",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_instance_uid", Text, nullable=False, unique=True),
    Column("patient_id", Text, nullable=False, server_default=""),
    Column("issuer_of_patient_id", Text, nullable=False, server_default=""),
    Column("patient_birth_date", Text, nullable=False, server_default=""),
    Column("patient_sex", Text, nullable=False, server_default=""),
    Column("sender_ae", Text, nullable=False),
    Column("sender_sent_images", Boolean, nullable=False, server_default=text("false")),
    Column("first_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False, index=True),
)

edition = Table(
    "edition",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_id", _Id, ForeignKey("study.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("completed_by", Text),
    Column("completed_at", Moment),
    Column("evidence", Text, nullable=False, server_default=""),
    Column("finished_at", Moment),
    Column("summary", Text),
    Column("error", Text),
    Column("left_at", Moment),
    Column("purged_at", Moment),
    UniqueConstraint("study_id", "number"),
)
Index("ix_edition_state", edition.c.state)
_index_where("ix_edition_here", "left_at IS NULL", edition.c.study_id)
_index_where("ix_edition_leaving", "left_at IS NOT NULL AND purged_at IS NULL", edition.c.id)

series = Table(
    "series",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("study_id", _Id, ForeignKey("study.id"), nullable=False),
    Column("series_instance_uid", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("number", Integer),
    Column("description", Text, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("classified_revision", Integer, nullable=False, server_default="0"),
    Column("changed_at", Moment, nullable=False),
    Column("role", Text),
    Column("evidence", Text, nullable=False, server_default="[]"),
    Column("extent_from", Float),
    Column("extent_to", Float),
    Column("refused", Text),
    UniqueConstraint("study_id", "series_instance_uid"),
)
_index_where("ix_series_unclassified", "revision <> classified_revision", series.c.id)

instance = Table(
    "instance",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("association_id", Text, ForeignKey("association.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False),
    Column("transfer_syntax_uid", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("state", Text, nullable=False),
    Column("study_id", _Id, ForeignKey("study.id")),
    Column("series_id", _Id, ForeignKey("series.id")),
    Column("edition_number", Integer),
    Column("digest", Text),
    Column("reason", Text),
    Column("detail", Text),
    Column("filed_at", Moment),
    Column("file_gone", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("association_id", "number"),
)
# Partial indexes: nearly every row of this long table is 'filed', and what is asked for is the rest. SQLite uses them
# only when the statement spells the condition out, see ``in_state``.
_index_where("ix_instance_unfiled", "state = 'arrived'", instance.c.id)
_index_where("ix_instance_rest", "state <> 'filed'", instance.c.state)
Index("ix_instance_study", instance.c.study_id, instance.c.sop_instance_uid)
Index("ix_instance_series", instance.c.series_id)

brought = Table(
    "brought",
    metadata,
    Column("edition_id", _Id, ForeignKey("edition.id"), primary_key=True),
    Column("association_id", Text, ForeignKey("association.id"), primary_key=True),
    Column("series_id", _Id, ForeignKey("series.id"), primary_key=True),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("instances", Integer, nullable=False),
)
Index("ix_brought_association_id", brought.c.association_id)
Index("ix_brought_series_id", brought.c.series_id)

census = Table(
    "census",
    metadata,
    Column("study_id", _Id, ForeignKey("study.id"), primary_key=True, autoincrement=False),
    Column("asked_at", Moment, nullable=False),
    Column("series", Text, nullable=False),
    Column("objects", Integer),
    Column("silence", Text, nullable=False),
    Column("vain", Integer, nullable=False),
    Column("again_at", Moment),
)

entered = Table(
    "entered",
    metadata,
    Column("study_id", _Id, ForeignKey("study.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("edition_number", Integer, primary_key=True),
    Column("value", Text, nullable=False),
    Column("entered_at", Moment, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("edition_id", _Id, ForeignKey("edition.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("sent_at", Moment),
    Column("sent_until", Moment),
    Column("token", Text, unique=True),
    Column("worker", Text),
    Column("claimed_at", Moment),
    Column("lease_until", Moment),
    Column("attempts", Integer, nullable=False),
    Column("finished_at", Moment),
    Column("error", Text),
    UniqueConstraint("edition_id", "kind"),
)
Index("ix_job_state", job.c.state, job.c.due_at)

result = Table(
    "result",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("edition_id", _Id, ForeignKey("edition.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("sop_class_uid", Text, nullable=False),
    Column("sop_instance_uid", Text, nullable=False, index=True),
    Column("series_instance_uid", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("edition_id", "sop_instance_uid"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("result_id", _Id, ForeignKey("result.id"), nullable=False),
    Column("edition_id", _Id, ForeignKey("edition.id"), nullable=False),
    Column("destination", Text),
    Column("ae_title", Text, nullable=False),
    Column("fallback_for", _Id, ForeignKey("result.id")),
    Column("state", Text, nullable=False),
    Column("wanted_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("token", Text, index=True),
    Column("worker", Text),
    Column("lease_until", Moment),
    Column("attempts", Integer, nullable=False),
    Column("sent_at", Moment),
    Column("asked", Integer, nullable=False),
    Column("ask_at", Moment),
    Column("confirmed_at", Moment),
    Column("error", Text),
    UniqueConstraint("result_id", "destination"),
)
_index_where("uq_delivery_held", "destination IS NULL", delivery.c.result_id, delivery.c.ae_title, unique=True)
Index("ix_delivery_state", delivery.c.state, delivery.c.due_at)
Index("ix_delivery_edition", delivery.c.edition_id)
Index("ix_delivery_fallback", delivery.c.fallback_for)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("kind", Text, nullable=False),
    Column("study_id", _Id, ForeignKey("study.id"), index=True),
    Column("edition_id", _Id, ForeignKey("edition.id")),
    Column("detail", Text, nullable=False),
)
