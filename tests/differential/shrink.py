"""Makes a failing case smaller for as long as it still fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.differential.model import Case, Query, Table

Fails = Callable[[Case], bool]


def shrink(case: Case, fails: Fails, *, seconds: float = 30.0) -> Case:
    """Return a case that still fails and from which no single step takes anything away (or time is up)."""
    until = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < until:
        progress = False
        for smaller in _candidates(case):
            if time.monotonic() > until:
                break
            if fails(smaller):
                case, progress = smaller, True
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    yield from _fewer_rows(case)
    yield from _simpler_query(case)
    yield from _fewer_columns(case)


def _fewer_rows(case: Case) -> Iterator[Case]:
    for part in ("left", "right", "lookup"):
        table: Table | None = getattr(case, part)
        if table is None:
            continue
        if table.filters:
            yield _put(case, part, replace(table, filters=table.filters[1:]))
        if table.format != "arrow":
            yield _put(case, part, replace(table, format="arrow"))
        size = len(table.rows)
        chunk = max(1, size // 2)
        while size:
            for start in range(0, size, chunk):
                rest = table.rows[:start] + table.rows[start + chunk :]
                yield _put(case, part, replace(table, rows=rest))
            if chunk == 1:
                break
            chunk //= 2


def _simpler_query(case: Case) -> Iterator[Case]:
    query = case.query
    simpler: list[Query] = [
        replace(query, **{part: getattr(query, part)[:at] + getattr(query, part)[at + 1 :]})
        for part in ("on", "where", "select", "left_where", "right_where", "second_on", "having")
        for at in range(len(getattr(query, part)))
        if part not in ("on", "second_on", "select") or len(getattr(query, part)) > 1
        if part != "select" or query.finish == "none" or not query.select[at].key
    ]
    changes: dict[str, object] = {
        "sources": "plain",
        "whole_cte": False,
        "swapped": False,
        "side_names": False,
        "lookup": None,
        "join": "JOIN",
    }
    simpler += [
        replace(query, **{name: plain}) for name, plain in changes.items() if getattr(query, name) != plain
    ]
    if query.finish in ("distinct", "union all", "union"):
        simpler.append(replace(query, finish="none"))
    for changed in simpler:
        yield replace(case, query=changed)
    if case.lookup is not None and case.query.lookup is None:
        yield replace(case, lookup=None)


def _fewer_columns(case: Case) -> Iterator[Case]:
    for part in ("left", "right"):
        table: Table = getattr(case, part)
        for at, column in enumerate(table.columns):
            if column.name in table.primary_key or len(table.columns) == 1:
                continue
            rows = tuple(row[:at] + row[at + 1 :] for row in table.rows)
            columns = table.columns[:at] + table.columns[at + 1 :]
            yield _put(case, part, replace(table, columns=columns, rows=rows))


def _put(case: Case, part: str, table: Table) -> Case:
    return replace(case, **{part: table})
