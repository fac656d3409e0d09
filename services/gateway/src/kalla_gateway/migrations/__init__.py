"""Alembic migrations of the schema kalla."""
