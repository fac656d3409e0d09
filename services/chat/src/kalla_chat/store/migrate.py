"""Brings the schema `kalla_chat` up to date when the service starts."""

from __future__ import annotations

from typing import Final

from alembic import command
from alembic.config import Config
from kalla_common.db import Database, database_errors
from sqlalchemy import Connection, text

from kalla_chat.store.tables import SCHEMA

_LOCK: Final = 0x63686174
"""Key of the advisory lock: of several processes that start at once, one migrates."""


async def migrate(database: Database) -> None:
    """Apply the migrations that are missing, all in one transaction.

    Raises:
        KallaError: DATABASE_UNAVAILABLE.
    """
    with database_errors():
        async with database.engine.begin() as connection:
            # Held until the transaction ends, whatever happens in between.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "kalla_chat.store:migrations")
    # Alembic splits a list of paths by this; without it, it warns.
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
