"""Runs whose result is known: sources of every kind, and what may become of a run when they change."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import obstore
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from kalla_cli.embedded_s3 import UPLOADS_BUCKET
from kalla_common.s3 import S3Settings
from obstore.store import S3Store
from psycopg import sql

Counts = tuple[int, int, int]
"""Matched, unmatched left, unmatched right."""

AWAY = frozenset({"RUNNER_UNAVAILABLE", "DATABASE_UNAVAILABLE", "SOURCE_UNREACHABLE", "STORE_UNAVAILABLE"})
"""What a run may fail with where a server that it needs was away."""
CHANGED = frozenset({"SOURCE_CHANGED", "DATA_NOT_FOUND", "INVALID_DATA", "EMPTY_FILE", "SOURCE_UNREACHABLE"})
"""What a run may fail with whose source was changed under it."""


@dataclass
class Case:
    """One run to be done.

    Attributes:
        recipe: as it is sent; its recipe_id is this case's alone.
        right: the counts that are right: one, and a second where a source is replaced.
        failures: codes it may fail with.
        change: what happens to a source in the middle.
        clean: removes the sources.
        accepted: set once Kalla has said that it took the run.
    """

    recipe: dict[str, Any]
    right: set[Counts]
    failures: frozenset[str]
    change: Callable[[], None] | None = None
    clean: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    accepted: bool = False

    @property
    def recipe_id(self) -> str:
        return str(self.recipe["recipe_id"])


@dataclass(frozen=True)
class Place:
    """Where cases put their sources."""

    data: Path
    database_url: str
    s3: S3Settings


def small_case(place: Place, name: str) -> Case:
    """The smallest run: two CSV files that are there already, or are made."""
    left, right = place.data / "small_left.csv", place.data / "small_right.csv"
    if not right.exists():
        left.write_text("id,ref\n" + "".join(f"{n},R{n}\n" for n in range(50)))
        right.write_text("id,ref\n" + "".join(f"{n},R{n}\n" for n in range(10, 60)))
    return Case(_recipe(name, str(left), str(right)), {(40, 10, 10)}, frozenset())


def random_case(rng: random.Random, place: Place) -> Case:
    """A run over sources of some kinds and sizes; now and then one of them changes."""
    rows, overlap = rng.choice((20, 2_000, 60_000)), rng.random()
    first = int(rows * (1 - overlap))
    name = f"soak-{uuid.UUID(int=rng.getrandbits(128))}"
    case = Case(_recipe(name, "", ""), {(rows - first, first, first)}, frozenset())
    kinds = [rng.choice(("csv", "csv", "parquet", "postgres", "s3")) for _ in range(2)]
    uris = [
        _MAKERS[kind](place, f"{name}-{side}", range(begin, begin + rows), case)
        for kind, side, begin in zip(kinds, ("l", "r"), (0, first), strict=True)
    ]
    case.recipe = _recipe(name, *uris)
    case.failures = AWAY if {"postgres", "s3"} & set(kinds) else frozenset()
    if kinds[0] == "csv" and rng.random() < 0.3:
        _plan_change(rng, case, Path(uris[0]), rows, first)
    elif kinds[0] == "postgres" and rng.random() < 0.5:
        _plan_table_change(rng, case, place, uris[0], rows)
    return case


def _recipe(name: str, left: str, right: str) -> dict[str, Any]:
    def side(alias: str, uri: str) -> dict[str, Any]:
        kind = "postgres" if uri.startswith("postgres") else "file"
        return {"alias": alias, "type": kind, "uri": uri, "primary_key": ["id"]}

    return {
        "recipe_id": name,
        "name": name,
        "match_sql": "SELECT l.id, r.id FROM l JOIN r ON l.ref = r.ref",
        "sources": {"left": side("l", left), "right": side("r", right)},
    }


def _named(statement: LiteralString, table: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(table))


def _lines(numbers: range) -> str:
    return "id,ref\n" + "".join(f"{n},R{n}\n" for n in numbers)


def _csv(place: Place, name: str, numbers: range, case: Case) -> str:
    path = place.data / f"{name}.csv"
    path.write_text(_lines(numbers))
    case.clean.append(lambda: path.unlink(missing_ok=True))
    return str(path)


def _parquet(place: Place, name: str, numbers: range, case: Case) -> str:
    path = place.data / f"{name}.parquet"
    table = pa.table({"id": pa.array(numbers), "ref": pa.array([f"R{n}" for n in numbers])})
    pq.write_table(table, path)
    case.clean.append(lambda: path.unlink(missing_ok=True))
    return str(path)


def _postgres(place: Place, name: str, numbers: range, case: Case) -> str:
    table = name.replace("-", "_")
    with psycopg.connect(place.database_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute(_named("CREATE TABLE {} (id bigint, ref text)", table))
        with connection.cursor().copy(_named("COPY {} FROM STDIN", table)) as copy:
            copy.write("".join(f"{n}\tR{n}\n" for n in numbers))

    def drop() -> None:
        with psycopg.connect(place.database_url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(_named("DROP TABLE IF EXISTS {}", table))

    case.clean.append(drop)
    return f"{place.database_url}?table={table}"


def _s3(place: Place, name: str, numbers: range, case: Case) -> str:
    key = f"soak/{name}.csv"
    key_id, secret, _ = place.s3.credentials()
    store = S3Store(
        UPLOADS_BUCKET,
        config={
            "endpoint": place.s3.endpoint,
            "region": place.s3.signing_region,
            "access_key_id": key_id,
            "secret_access_key": secret,
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )
    obstore.put(store, key, _lines(numbers).encode())
    case.clean.append(lambda: obstore.delete(store, key))
    return f"s3://{UPLOADS_BUCKET}/{key}"


_MAKERS: dict[str, Callable[[Place, str, range, Case], str]] = {
    "csv": _csv,
    "parquet": _parquet,
    "postgres": _postgres,
    "s3": _s3,
}


def _plan_change(rng: random.Random, case: Case, path: Path, rows: int, first: int) -> None:
    """The left file is replaced, cut short or removed: the old result, the new one, or an error."""
    case.failures |= CHANGED
    match rng.choice(("replaced", "truncated", "removed")):
        case "replaced":
            fresh = path.with_suffix(".new")

            def replace() -> None:
                fresh.write_text(_lines(range(rows)) + f"{rows + first},R{rows + first}\n")
                fresh.replace(path)

            # The new last row has no partner: the right ids end below it.
            case.right.add((rows - first, first + 1, first))
            case.change = replace
        case "truncated":
            kept = rows // 2

            def truncate() -> None:
                with path.open("r+b") as file:
                    file.truncate(len(_lines(range(kept))))

            matched = max(0, kept - first)
            case.right.add((matched, kept - matched, rows - matched))
            case.change = truncate
        case _:
            case.change = lambda: path.unlink(missing_ok=True)


def _plan_table_change(rng: random.Random, case: Case, place: Place, uri: str, rows: int) -> None:
    """The left table is locked for a while, emptied or dropped."""
    table = uri.rpartition("=")[2]
    case.failures |= CHANGED
    what = rng.choice(("locked", "emptied", "dropped"))
    if what == "emptied":
        case.right.add((0, 0, rows))

    def change() -> None:
        with psycopg.connect(place.database_url, connect_timeout=5) as connection:
            connection.execute("SET lock_timeout = '5s'")
            statements: dict[str, LiteralString] = {
                "locked": "LOCK TABLE {}; SELECT pg_sleep(0.5)",
                "emptied": "TRUNCATE {}",
                "dropped": "DROP TABLE {}",
            }
            connection.execute(_named(statements[what], table))

    case.change = change
