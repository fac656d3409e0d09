"""Alembic's entry: migrates over the connection that `kalla_chat.store.migrate` hands in."""

from __future__ import annotations

from alembic import context

from kalla_chat.store.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table="alembic_version",
    version_table_schema=SCHEMA,
    # The caller's transaction holds the lock that keeps two processes apart.
    transaction_per_migration=False,
)
context.run_migrations()
