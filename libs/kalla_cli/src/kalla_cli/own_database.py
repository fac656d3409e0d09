"""A PostgreSQL of the user's own, looked at before anything is started: so what is wrong is said well."""

from __future__ import annotations

from typing import Final

import psycopg
from kalla_common.errors import Code, KallaError
from psycopg.conninfo import conninfo_to_dict

_CONNECT_SECONDS: Final = 10
_SCHEMES: Final = ("postgresql://", "postgres://")


def checked_database(url: str) -> str:
    """Connect once, see that Kalla may make its schemas there, and return the URL in its long form.

    Args:
        url: postgresql://user:password@host:port/database.

    Raises:
        KallaError: INVALID_REQUEST or DATABASE_UNAVAILABLE, without the password.
    """
    if not url.startswith(_SCHEMES):
        raise KallaError(Code.INVALID_REQUEST, "--database-url must begin with postgresql://.")
    try:
        parts = conninfo_to_dict(url)
        place = f"{parts.get('host') or 'localhost'}:{int(parts.get('port') or 5432)}"
    except (psycopg.Error, ValueError):
        # The parser's own words repeat the broken part, which may be the password.
        raise KallaError(
            Code.INVALID_REQUEST,
            "--database-url cannot be understood; write postgresql://user:password@host:port/database and "
            "percent-encode special characters in the password.",
        ) from None
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
            row = connection.execute(
                "SELECT has_database_privilege(d, 'CREATE'), current_user, d FROM current_database() AS d"
            ).fetchone()
    except psycopg.Error as error:
        # "connection to server at ..., port ... failed: the reason", then advice for administrators.
        reason = (str(error).strip().splitlines() or ["no reason given"])[0].rpartition("failed: ")[2]
        raise KallaError(
            Code.DATABASE_UNAVAILABLE, f"The database on {place} cannot be reached: {reason}"
        ) from error
    if row is not None and not row[0]:
        raise KallaError(
            Code.DATABASE_UNAVAILABLE,
            f"The user {row[1]} may not make schemas in {row[2]} on {place}; "
            f"run GRANT CREATE ON DATABASE {row[2]} TO {row[1]}.",
        )
    return "postgresql://" + url.partition("://")[2]
