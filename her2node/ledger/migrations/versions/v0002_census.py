"""What the sender of a study says it has of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "census",
        sa.Column("study_id", _ID, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("objects", sa.Integer()),
        sa.Column("silence", sa.Text(), nullable=False),
        sa.Column("vain", sa.Integer(), nullable=False),
        sa.Column("again_at", _TIME),
        sa.ForeignKeyConstraint(["study_id"], ["study.id"], name="fk_census_study_id"),
        sa.PrimaryKeyConstraint("study_id", name="pk_census"),
    )
