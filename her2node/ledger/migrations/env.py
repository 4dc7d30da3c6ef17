"""Run by Alembic: migrations go through the connection that ``upgrade`` opened."""

from __future__ import annotations

from alembic import context

from her2node.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
