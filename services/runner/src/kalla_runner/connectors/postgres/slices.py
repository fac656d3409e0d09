"""How a table is cut into slices that several connections read at once.

A slice is a range of heap pages (ctid) of one table or leaf partition. All ranges are read in one
snapshot, so each row of it is in exactly one slice, however rows move meanwhile. What has no
pages of its own (views, foreign tables, tables with children) is one slice. Of a foreign table only
the definition belongs to the snapshot: its rows are those of the other server when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from kalla_runner.connectors.postgres.catalog import Relation, leaves_of, pages_of
from kalla_runner.connectors.postgres.snapshot import Snapshot

_LEAST_PAGES: Final = 256
_MOST_PAGES: Final = 16_384
"""Pages of 8 KiB in a slice: below the least a further connection costs more than it brings; the
most keeps progress moving on a large table."""
_SLICES_PER_THREAD: Final = 4
_RANGE_SCANS: Final = 140000
"""Before PostgreSQL 14 a ctid range reads the whole table."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a table's rows.

    Attributes:
        table: what to SELECT FROM.
        condition: which of its rows.
        weight: how much it is of the whole, in pages.
    """

    table: sql.Composable
    condition: sql.Composable
    weight: int


def slices_of(snapshot: Snapshot, relation: Relation, threads: int) -> list[Slice]:
    """The slices of a table in the order of its rows; at least one."""
    tables = (relation,)
    if relation.kind == "p":
        leaves = leaves_of(snapshot, relation)
        if leaves is None:
            return [_whole(relation)]
        tables = leaves
    pages = [pages_of(snapshot, table) if _has_pages(snapshot, table) else None for table in tables]
    wanted = sum(count or 0 for count in pages) // (threads * _SLICES_PER_THREAD) + 1
    size = min(max(wanted, _LEAST_PAGES), _MOST_PAGES)
    result: list[Slice] = []
    for table, count in zip(tables, pages, strict=True):
        result += [_whole(table)] if count is None else _ranges(table, count, size)
    # A partitioned table without partitions has no rows, but its query has columns.
    return result or [_whole(relation)]


def has_row_order(snapshot: Snapshot, relation: Relation) -> bool:
    """Whether a scan by ctid from page 0 gives the rows in one fixed order."""
    return _has_pages(snapshot, relation)


def first_page(relation: Relation) -> Slice:
    """The whole of a table with pages, scanned in their order."""
    return _ranges(relation, 1, 1)[0]


def _has_pages(snapshot: Snapshot, table: Relation) -> bool:
    return table.kind in "rm" and table.heap and not table.inherited and snapshot.version >= _RANGE_SCANS


def _whole(table: Relation) -> Slice:
    return Slice(table.identifier, sql.SQL("true"), 1)


def split_pages(pages: int, size: int) -> list[tuple[int, int | None]]:
    """Ranges [start, end) of at most `size` pages, as equal as can be; the last has no end."""
    count = max(-(-pages // size), 1)
    starts = [number * pages // count for number in range(count)]
    return list(zip(starts, [*starts[1:], None], strict=True))


def _ranges(table: Relation, pages: int, size: int) -> list[Slice]:
    result: list[Slice] = []
    for start, end in split_pages(pages, size):
        condition: sql.Composable = sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({start},0)"))
        if end is not None:
            upper = sql.SQL("ctid < {}::tid").format(sql.Literal(f"({end},0)"))
            condition = sql.SQL("{} AND {}").format(condition, upper)
        weight = max((pages if end is None else end) - start, 1)
        result.append(Slice(sql.SQL("ONLY {}").format(table.identifier), condition, weight))
    return result
