"""Sources, recipes and runs."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """
    CREATE TABLE kalla.sources (
        alias text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        uri text NOT NULL,
        source_type text NOT NULL,
        status text NOT NULL CHECK (status IN ('connected', 'unreachable', 'unknown')),
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE kalla.recipes (
        recipe_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        body jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE kalla.runs (
        run_id text PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        recipe_id text NOT NULL,
        recipe jsonb NOT NULL,
        filters jsonb NOT NULL,
        status text NOT NULL
            CHECK (status IN ('submitted', 'running', 'completed', 'failed', 'cancelled')),
        matched_count bigint NOT NULL,
        unmatched_left_count bigint NOT NULL,
        unmatched_right_count bigint NOT NULL,
        output_matched text,
        output_unmatched_left text,
        output_unmatched_right text,
        diagnostics jsonb,
        error_message text,
        error_code text,
        progress jsonb,
        progress_sequence bigint,
        progress_at timestamptz,
        heard_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX runs_newest ON kalla.runs (created_at DESC, seq DESC)",
    # The reconciler looks for live runs alone; ended ones are many.
    "CREATE INDEX runs_live ON kalla.runs (status) WHERE status IN ('submitted', 'running')",
)


def upgrade() -> None:
    """Make the three tables."""
    for statement in _TABLES:
        op.execute(statement)
