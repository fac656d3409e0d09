"""A real PostgreSQL server for tests and for the differential fuzz."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kalla_cli.embedded_postgres import embedded_postgres
from kalla_cli.postgres_data import remove_data


@contextmanager
def postgres_server() -> Generator[str]:
    """Run a fresh server, the one that `kalla up` starts; gives its URL, with user and password."""
    with tempfile.TemporaryDirectory(prefix="kalla-pg-") as folder:
        home = Path(folder).resolve()
        home.chmod(0o711)
        try:
            with embedded_postgres(home, home / "log", durable=False) as server:
                yield server.url("postgres")
        finally:
            remove_data(home)
