"""Alembic's migrations of the schema `kalla_chat`."""
