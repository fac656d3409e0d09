"""Alembic's entry: migrates over the connection that `kalla_gateway.migrate` hands in."""

from __future__ import annotations

from alembic import context

from kalla_gateway.tables import SCHEMA

context.configure(
    connection=context.config.attributes["connection"],
    version_table="alembic_version",
    version_table_schema=SCHEMA,
    # The caller's transaction holds the lock that keeps two gateways apart.
    transaction_per_migration=False,
)
context.run_migrations()
