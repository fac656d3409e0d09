"""Sessions and messages."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """
    CREATE TABLE kalla_chat.sessions (
        session_id uuid PRIMARY KEY,
        phase text NOT NULL,
        status text NOT NULL CHECK (status IN ('active', 'recipe_ready', 'running', 'completed')),
        -- json keeps the order of columns in rows, jsonb sorts them.
        state json NOT NULL,
        version bigint NOT NULL DEFAULT 0,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE kalla_chat.messages (
        session_id uuid NOT NULL REFERENCES kalla_chat.sessions,
        number bigint NOT NULL,
        role text NOT NULL CHECK (role IN ('user', 'assistant')),
        content text NOT NULL,
        cards json NOT NULL,
        -- Of a user's message: the name its sender gave it. Of an answer: the message it answers.
        request_id text,
        answers bigint,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (session_id, number),
        UNIQUE (session_id, request_id),
        UNIQUE (session_id, answers)
    )
    """,
    # Whoever follows runs looks for these alone; ended ones are many.
    "CREATE INDEX sessions_running ON kalla_chat.sessions (session_id) WHERE status = 'running'",
)


def upgrade() -> None:
    """Make the two tables."""
    for statement in _TABLES:
        op.execute(statement)
