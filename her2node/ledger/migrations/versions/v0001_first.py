"""The first schema."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _association()
    _lease()
    _study()
    _edition()
    _entered()
    _series()
    _brought()
    _event()
    _instance()
    _job()
    _result()
    _delivery()


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _association() -> None:
    op.create_table(
        "association",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("calling_ae", sa.Text(), nullable=False),
        sa.Column("called_ae", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME),
        sa.Column("how", sa.Text()),
        sa.Column("instances", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_association"),
    )
    op.create_index("ix_association_open", "association", ["receiver"], **_where("ended_at IS NULL"))


def _lease() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )


def _study() -> None:
    op.create_table(
        "study",
        sa.Column("id", _ID, nullable=False),
        sa.Column("study_instance_uid", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("issuer_of_patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("patient_birth_date", sa.Text(), server_default="", nullable=False),
        sa.Column("patient_sex", sa.Text(), server_default="", nullable=False),
        sa.Column("sender_ae", sa.Text(), nullable=False),
        sa.Column("sender_sent_images", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("study_instance_uid", name="uq_study_study_instance_uid"),
    )
    op.create_index("ix_study_changed_at", "study", ["changed_at"])


def _edition() -> None:
    op.create_table(
        "edition",
        sa.Column("id", _ID, nullable=False),
        sa.Column("study_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", _TIME, nullable=False),
        sa.Column("completed_by", sa.Text()),
        sa.Column("completed_at", _TIME),
        sa.Column("evidence", sa.Text(), server_default="", nullable=False),
        sa.Column("finished_at", _TIME),
        sa.Column("summary", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("left_at", _TIME),
        sa.Column("purged_at", _TIME),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_edition_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_edition"),
        sa.UniqueConstraint("study_id", "number", name="uq_edition_study_id_number"),
    )
    op.create_index("ix_edition_state", "edition", ["state"])
    op.create_index("ix_edition_here", "edition", ["study_id"], **_where("left_at IS NULL"))
    op.create_index("ix_edition_leaving", "edition", ["id"], **_where("left_at IS NOT NULL AND purged_at IS NULL"))


def _entered() -> None:
    op.create_table(
        "entered",
        sa.Column("study_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("edition_number", sa.Integer(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("entered_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_entered_study_id"),
        sa.PrimaryKeyConstraint("study_id", "name", "edition_number", name="pk_entered"),
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("id", _ID, nullable=False),
        sa.Column("study_id", _ID, nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer()),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("classified_revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("role", sa.Text()),
        sa.Column("evidence", sa.Text(), server_default="[]", nullable=False),
        sa.Column("extent_from", sa.Float()),
        sa.Column("extent_to", sa.Float()),
        sa.Column("refused", sa.Text()),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_series_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.UniqueConstraint("study_id", "series_instance_uid", name="uq_series_study_id_series_instance_uid"),
    )
    op.create_index("ix_series_unclassified", "series", ["id"], **_where("revision <> classified_revision"))


def _brought() -> None:
    op.create_table(
        "brought",
        sa.Column("edition_id", _ID, nullable=False),
        sa.Column("association_id", sa.Text(), nullable=False),
        sa.Column("series_id", _ID, nullable=False),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["association_id"], ["association.id"], name="fk_brought_association_id"),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name="fk_brought_edition_id"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_brought_series_id"),
        sa.PrimaryKeyConstraint("edition_id", "association_id", "series_id", name="pk_brought"),
    )
    op.create_index("ix_brought_association_id", "brought", ["association_id"])
    op.create_index("ix_brought_series_id", "brought", ["series_id"])


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("study_id", _ID),
        sa.Column("edition_id", _ID),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name="fk_event_edition_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_event_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_event"),
    )
    op.create_index("ix_event_study_id", "event", ["study_id"])


def _instance() -> None:
    op.create_table(
        "instance",
        sa.Column("id", _ID, nullable=False),
        sa.Column("association_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("transfer_syntax_uid", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("received_at", _TIME, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("study_id", _ID),
        sa.Column("series_id", _ID),
        sa.Column("edition_number", sa.Integer()),
        sa.Column("digest", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("filed_at", _TIME),
        sa.Column("file_gone", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(["association_id"], ["association.id"], name="fk_instance_association_id"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_instance_series_id"),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_instance_study_id"),
        sa.PrimaryKeyConstraint("id", name="pk_instance"),
        sa.UniqueConstraint("association_id", "number", name="uq_instance_association_id_number"),
    )
    op.create_index("ix_instance_rest", "instance", ["state"], **_where("state <> 'filed'"))
    op.create_index("ix_instance_series", "instance", ["series_id"])
    op.create_index("ix_instance_study", "instance", ["study_id", "sop_instance_uid"])
    op.create_index("ix_instance_unfiled", "instance", ["id"], **_where("state = 'arrived'"))


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("id", _ID, nullable=False),
        sa.Column("edition_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("sent_at", _TIME),
        sa.Column("sent_until", _TIME),
        sa.Column("token", sa.Text()),
        sa.Column("worker", sa.Text()),
        sa.Column("claimed_at", _TIME),
        sa.Column("lease_until", _TIME),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("finished_at", _TIME),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name="fk_job_edition_id"),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("edition_id", "kind", name="uq_job_edition_id_kind"),
        sa.UniqueConstraint("token", name="uq_job_token"),
    )
    op.create_index("ix_job_state", "job", ["state", "due_at"])


def _result() -> None:
    op.create_table(
        "result",
        sa.Column("id", _ID, nullable=False),
        sa.Column("edition_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sop_class_uid", sa.Text(), nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("series_instance_uid", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name="fk_result_edition_id"),
        sa.PrimaryKeyConstraint("id", name="pk_result"),
        sa.UniqueConstraint("edition_id", "sop_instance_uid", name="uq_result_edition_id_sop_instance_uid"),
    )
    op.create_index("ix_result_sop_instance_uid", "result", ["sop_instance_uid"])


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", _ID, nullable=False),
        sa.Column("result_id", _ID, nullable=False),
        sa.Column("edition_id", _ID, nullable=False),
        sa.Column("destination", sa.Text()),
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("fallback_for", _ID),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_until", _TIME),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", _TIME),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("ask_at", _TIME),
        sa.Column("confirmed_at", _TIME),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["edition_id"], ["edition.id"], name="fk_delivery_edition_id"),
        sa.ForeignKeyConstraint(["fallback_for"], ["result.id"], name="fk_delivery_fallback_for"),
        sa.ForeignKeyConstraint(["result_id"], ["result.id"], name="fk_delivery_result_id"),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.UniqueConstraint("result_id", "destination", name="uq_delivery_result_id_destination"),
    )
    op.create_index("ix_delivery_edition", "delivery", ["edition_id"])
    op.create_index("ix_delivery_fallback", "delivery", ["fallback_for"])
    op.create_index("ix_delivery_state", "delivery", ["state", "due_at"])
    op.create_index("ix_delivery_token", "delivery", ["token"])
    op.create_index(
        "uq_delivery_held", "delivery", ["result_id", "ae_title"], unique=True, **_where("destination IS NULL")
    )
