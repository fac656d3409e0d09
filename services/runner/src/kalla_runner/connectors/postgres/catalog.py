"""What the server's catalogue says of a table: its kind, columns, key and partitions."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from kalla_common.errors import Code, KallaError
from psycopg import sql

from kalla_runner.connectors.postgres.address import Name
from kalla_runner.connectors.postgres.snapshot import Snapshot

_READABLE: Final = "rpvmf"
"""pg_class.relkind of tables, partitioned tables, views, materialized views, foreign tables."""

_RELATIONS: Final = """
    SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text,
           coalesce(a.amname = 'heap', false), c.relhassubclass, c.relrowsecurity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam
    WHERE strpos(%s, c.relkind::text) > 0 AND lower(c.relname) = lower(%s)
      AND (CASE WHEN %s::text IS NULL THEN n.nspname = ANY (current_schemas(true))
                ELSE lower(n.nspname) = lower(%s) END)
    ORDER BY array_position(current_schemas(true), n.nspname), n.nspname, c.relname
"""
_ALL_NAMES: Final = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE strpos(%s, c.relkind::text) > 0 AND NOT c.relispartition
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    ORDER BY 1, 2 LIMIT 5000
"""
# A domain is read as what it is based on, with the length or precision that the domain sets.
_COLUMNS: Final = """
    WITH RECURSIVE resolved (number, type, modifier) AS (
        SELECT attnum, atttypid, atttypmod FROM pg_attribute
        WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT r.number, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE r.modifier END
        FROM resolved r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd')
    SELECT a.attname, tn.nspname, t.typname, en.nspname, e.typname, r.modifier,
           a.attnotnull AND NOT EXISTS (
               SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
               AND a.attnum = ANY (k.conkey) AND NOT k.convalidated)
    FROM resolved r
    JOIN pg_attribute a ON a.attrelid = %(oid)s AND a.attnum = r.number
    JOIN pg_type t ON t.oid = r.type AND t.typtype <> 'd' JOIN pg_namespace tn ON tn.oid = t.typnamespace
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' AND t.typlen = -1
                           AND t.typname NOT IN ('int2vector', 'oidvector')
    LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
    ORDER BY r.number
"""
_KEY: Final = """
    SELECT a.attname FROM pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = %s AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place
"""
# A table that was truncated or rewritten after the snapshot looks empty to it. The functions on
# the left see the present file, the catalogue the file as of the snapshot; all tables of the query
# (of a view as well) are locked by now, so that nothing can happen to them after this check.
_REWRITTEN: Final = """
    SELECT c.oid::regclass::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relfilenode <> 0
      AND c.relkind IN ('r', 'm')
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pg_relation_filenode(c.oid) IS DISTINCT FROM c.relfilenode
"""
_LEAVES: Final = """
    SELECT c.oid::int8, n.nspname, c.relname, c.relkind::text, coalesce(a.amname = 'heap', false),
           has_table_privilege(c.oid, 'SELECT') AND NOT c.relrowsecurity
    FROM pg_partition_tree(%s::int8::oid::regclass) t
    JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_am a ON a.oid = c.relam
    WHERE t.isleaf AND c.relkind <> 'p' ORDER BY t.level, n.nspname, c.relname
"""


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """A column as the catalogue has it, domains resolved.

    Attributes:
        type: (schema, name) of its type.
        element: (schema, name) of the element type of an array, else None.
        modifier: the type's typmod, -1 for none.
        not_null: whether the server guarantees a value.
    """

    name: str
    type: tuple[str, str]
    element: tuple[str, str] | None
    modifier: int
    not_null: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or the like.

    Attributes:
        kind: its pg_class.relkind.
        heap: whether rows lie in heap pages, so that ctid ranges are page ranges.
        inherited: whether other tables inherit from it or are its partitions.
        row_security: whether policies filter its rows.
    """

    oid: int
    schema: str
    name: str
    kind: str
    heap: bool
    inherited: bool = False
    row_security: bool = False

    @property
    def identifier(self) -> sql.Identifier:
        """The name, quoted."""
        return sql.Identifier(self.schema, self.name)

    @property
    def shown(self) -> str:
        """The name as people write it."""
        return f"{self.schema}.{self.name}"


def find_relation(snapshot: Snapshot, schema: Name | None, table: Name) -> Relation:
    """The table that a URI names: the exact name, else the only one that differs in case.

    Raises:
        KallaError: DATA_NOT_FOUND naming similar tables, or INVALID_URI where several fit.
        psycopg.Error: the catalogue could not be read.
    """
    wanted = None if schema is None else schema.text
    rows = snapshot.query(_RELATIONS, (_READABLE, table.text, wanted, wanted))
    found = [Relation(*row) for row in rows]
    exact = [r for r in found if r.name == table.text and wanted in (None, r.schema)]
    if exact:
        return exact[0]
    folded = [
        r
        for r in found
        if not (table.quoted and r.name != table.text)
        and not (schema is not None and schema.quoted and r.schema != schema.text)
    ]
    if len(folded) == 1:
        return folded[0]
    if folded:
        names = ", ".join(f'"{r.schema}"."{r.name}"' for r in folded)
        raise KallaError(
            Code.INVALID_URI, f"The table {table.text!r} may be any of {names}; write its name in quotes."
        )
    raise _missing(snapshot, schema, table)


def _missing(snapshot: Snapshot, schema: Name | None, table: Name) -> KallaError:
    asked = table.text if schema is None else f"{schema.text}.{table.text}"
    known = {f"{row[0]}.{row[1]}": str(row[1]) for row in snapshot.query(_ALL_NAMES, (_READABLE,))}
    same = [full for full, name in known.items() if name.casefold() == table.text.casefold()]
    close = get_close_matches(asked, known, n=3) or [
        full for full, name in known.items() if name in get_close_matches(table.text, known.values(), n=3)
    ]
    similar = list(dict.fromkeys([*same, *close]))[:3]
    if similar:
        hint = f"did you mean {' or '.join(similar)}?"
    else:
        hint = "it has " + (f"the tables {', '.join(list(known)[:10])}." if known else "no tables.")
    database = snapshot.address.database
    return KallaError(
        Code.DATA_NOT_FOUND, f"The database {database!r} has no table {asked!r} for this user; {hint}"
    )


def columns_of(snapshot: Snapshot, relation: Relation) -> tuple[ColumnEntry, ...]:
    """The table's columns in their order; dropped ones are not among them."""
    # A child may hold NULLs where its parent forbids them (NO INHERIT), partitions cannot.
    may_differ = relation.inherited and relation.kind == "r"
    return tuple(
        ColumnEntry(
            name=row[0],
            type=(row[1], row[2]),
            element=None if row[4] is None else (row[3], row[4]),
            modifier=row[5],
            not_null=bool(row[6]) and not may_differ,
        )
        for row in snapshot.query(_COLUMNS, {"oid": relation.oid})
    )


def key_of(snapshot: Snapshot, relation: Relation) -> tuple[str, ...]:
    """The columns of the primary key, () without one."""
    return tuple(str(row[0]) for row in snapshot.query(_KEY, (relation.oid,)))


def leaves_of(snapshot: Snapshot, relation: Relation) -> tuple[Relation, ...] | None:
    """The partitions that hold a partitioned table's rows, None if they may not be read one by one.

    Permissions and policies of the parent do not hold for a partition read by itself.
    """
    rows = snapshot.query(_LEAVES, (relation.oid,))
    if relation.row_security or not all(row[5] for row in rows):
        return None
    return tuple(Relation(*row[:5]) for row in rows)


def pages_of(snapshot: Snapshot, relation: Relation) -> int:
    """How many heap pages the table has now; rows of the snapshot lie in no later page."""
    size = "pg_relation_size(%s::int8::oid) / current_setting('block_size')::int"
    return int(snapshot.query(f"SELECT {size}", (relation.oid,))[0][0])


def hold(snapshot: Snapshot, relation: Relation) -> None:
    """Keep the table from being altered, truncated or dropped until the snapshot is closed.

    Raises:
        KallaError: SOURCE_CHANGED if that happened after the snapshot was taken.
        psycopg.Error: the table may not be read.
    """
    snapshot.query_data(sql.SQL("SELECT FROM {} LIMIT 0").format(relation.identifier))
    rewritten = snapshot.query(_REWRITTEN)
    if rewritten:
        raise KallaError(
            Code.SOURCE_CHANGED,
            f"The table {rewritten[0][0]} was truncated or rewritten while it was opened; start again.",
        )
