"""Which row holds the value that could not be read, in words that help to find it."""

from __future__ import annotations

from collections.abc import Sequence

from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_runner.connectors.postgres.catalog import Relation
from kalla_runner.connectors.postgres.decode import UndecodableError
from kalla_runner.connectors.postgres.snapshot import Snapshot
from kalla_runner.connectors.postgres.types import Column, bad_value
from kalla_runner.connectors.type_names import type_name


def explain(
    error: UndecodableError,
    snapshot: Snapshot,
    relation: Relation,
    column: Column,
    *,
    key: Sequence[str],
    condition: sql.Composable,
) -> KallaError:
    """The error for a value that Arrow cannot hold, naming its row by key, else by ctid.

    Raises:
        psycopg.Error: the server could not be asked.
    """
    where = f"Column {column.name!r} of table {relation.shown}"
    bad = _shape(column) if error.shape else _bad(column, snapshot.version)
    found = None if bad is None else _first(snapshot, relation, column, key=key, bad=bad, condition=condition)
    if found is None:
        return _error(column, f"{where} holds a value that has no exact form here; cast it in a view.")
    value, row, misfits = found
    place = f"in the row with {row}" if row else "in a row"
    if error.shape:
        return _error(
            column, f"{where} holds an array of several dimensions {place}; cast it to text in a view."
        )
    if misfits:
        message = f"{where} holds {value} {place}, which does not fit the declared {type_name(column.arrow)}"
        return KallaError(Code.SCHEMA_MISMATCH, f"{message}; declare a wider type.", column=column.name)
    finite = value.lstrip("-").lower() not in ("nan", "infinity")
    advice = "" if finite and not column.is_list else ", or add on_nan=null to the URI to read it as NULL"
    return _error(
        column, f"{where} holds {value} {place}, which has no exact {_named(column)}; correct it{advice}."
    )


def _named(column: Column) -> str:
    name = type_name(column.arrow)
    return "decimal" if name.startswith("decimal") else name


def _error(column: Column, message: str) -> KallaError:
    return KallaError(Code.INVALID_DATA, message, column=column.name)


def _shape(column: Column) -> sql.Composable:
    return sql.SQL("array_ndims({}) > 1").format(sql.Identifier(column.name))


def _bad(column: Column, version: int) -> sql.Composable | None:
    if not column.is_list:
        bad = bad_value(column.kind, column.value, version)
        if column.misfit is not None and bad is not None:
            return sql.SQL("({} OR {})").format(bad, column.misfit)
        return bad
    element = bad_value(column.kind, sql.SQL("element"), version)
    if element is None:
        return None
    return sql.SQL("EXISTS (SELECT FROM unnest({}) AS list (element) WHERE {})").format(column.value, element)


def _first(
    snapshot: Snapshot,
    relation: Relation,
    column: Column,
    *,
    key: Sequence[str],
    bad: sql.Composable,
    condition: sql.Composable,
) -> tuple[str, str, bool] | None:
    """The first such value as text, the description of its row, and whether it is a misfit."""
    names = [sql.Identifier(name) for name in key]
    pages = relation.kind in "rmp" and relation.heap
    if not names and pages:
        names = [sql.Identifier("ctid")]
    order = sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(names)) if names else sql.SQL("")
    row = sql.SQL("ARRAY[{}]::text[]").format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(name) for name in names)
    )
    misfit = column.misfit or sql.SQL("false")
    if column.misfit is not None:
        special = bad_value(column.kind, column.value, snapshot.version) or sql.SQL("false")
        misfit = sql.SQL("NOT ({})").format(special)
    rows = snapshot.query_data(
        sql.SQL("SELECT {}::text, {}, {} FROM {} WHERE {} AND {}{} LIMIT 1").format(
            column.value, row, misfit, relation.identifier, bad, condition, order
        )
    )
    if not rows:
        return None
    value, values, misfits = rows[0]
    labels = key or (("ctid",) if pages else ())
    described = ", ".join(f"{label} = {text}" for label, text in zip(labels, values, strict=True))
    return str(value), described, bool(misfits)
