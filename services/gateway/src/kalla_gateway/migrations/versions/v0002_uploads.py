"""Uploads."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE kalla.uploads (
            upload_id text PRIMARY KEY,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            session_id text NOT NULL,
            filename text NOT NULL,
            s3_uri text NOT NULL,
            e_tag text,
            size_bytes bigint,
            columns jsonb,
            row_count bigint,
            confirmed_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            -- What was read is known as a whole or not at all.
            CHECK (num_nulls(e_tag, size_bytes, columns, row_count) IN (0, 4)),
            CHECK (confirmed_at IS NULL OR e_tag IS NOT NULL)
        )
        """
    )
    op.execute("CREATE INDEX uploads_of_session ON kalla.uploads (session_id, created_at DESC, seq DESC)")
