"""Two answers side by side: what a run wrote and what DuckDB found, as rows of keys in one notation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.witness.translate import Translation, whole_keys
from kalla_runner.matching.witness.typed import not_possible, quoted_text

OUTPUTS: Final = ("matched", "unmatched_left", "unmatched_right")
_WORD: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote.

    Attributes:
        folder: holds the Parquet files of OUTPUTS.
        keys: the columns of `matched` that hold the left and the right primary key.
    """

    folder: Path
    keys: tuple[tuple[str, ...], tuple[str, ...]]

    def file(self, output: str) -> Path:
        """The file of an output."""
        return self.folder / f"{output}.parquet"


class Answers:
    """Both answers in one DuckDB.

    Args:
        connection: holds the tables that the translation reads.
        translation: the query.
        infos: the tables.
        written: what the run wrote.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        translation: Translation,
        infos: Sequence[TableInfo],
        written: Written,
    ) -> None:
        self._connection = connection
        self._translation = translation
        self._infos = infos[:2]
        self._written = written
        self._sides_that_share: list[tuple[int, str]] = []
        """Sides with rows that were written as unmatched although their key is matched."""
        self._find()
        self._state()

    def figures(self, whose: str, output: str) -> tuple[int, str]:
        """How many keys an output has, and a hash of 128 bits over all of them in whatever order.

        Args:
            whose: kalla or duckdb.
            output: one of OUTPUTS.
        """
        # One hash of 128 bits a row, added up in two halves: their sums do not depend on an order.
        hashes = f"SELECT md5_number(e) AS h FROM {whose}_{output}"  # noqa: S608 - our own names
        halves = f"sum(CAST(h & {_WORD - 1} AS UBIGINT)), sum(CAST(h >> 64 AS UBIGINT))"
        rows, lower, upper = self._row(f"SELECT count(*), {halves} FROM ({hashes})")  # noqa: S608
        return int(rows), f"{int(upper or 0) % _WORD:016x}{int(lower or 0) % _WORD:016x}"

    def example(self, output: str) -> tuple[str, str] | None:
        """A row that one answer has and the other has not, or not as often.

        Returns:
            Whose it is (kalla or duckdb), and its keys as people read them.
        """
        for one, other in (("kalla", "duckdb"), ("duckdb", "kalla")):
            (shown,) = self._row(
                f"SELECT min(d) FROM {one}_{output} WHERE e = (SELECT min(e) FROM ("  # noqa: S608 - our own names
                f"SELECT e FROM {one}_{output} EXCEPT ALL SELECT e FROM {other}_{output}))"
            )
            if shown is not None:
                return one, str(shown)
        return None

    def left_out(self) -> str | None:
        """A key that is matched although every row of it was written as unmatched; None as it should be."""
        for number, side in self._sides_that_share:
            sharing = self._sharing(number, side)
            lost = f"SELECT min(d) FROM {sharing} WHERE s.n >= t.n"  # noqa: S608 - our own names
            (shown,) = self._row(lost)
            if shown is not None:
                return str(shown)
        return None

    def counts(self, whose: str) -> dict[str, int]:
        """The rows of each output; those that share the key of a matched row as the run took them."""
        matched = f"SELECT count(*) FROM {whose}_matched"  # noqa: S608 - our own names
        rows = {"matched": self._row(matched)[0]}
        for number, side in enumerate(OUTPUTS[1:]):
            if whose == "kalla":
                (rows[side],) = self._row(f"SELECT count(*) FROM all_{side}")  # noqa: S608
                continue
            (rows[side],) = self._row(f"SELECT count(*) FROM duckdb_{side}")  # noqa: S608
            if (number, side) in self._sides_that_share:
                shared = f"SELECT sum(s.n) FROM {self._sharing(number, side)} WHERE s.n < t.n"  # noqa: S608
                rows[side] += int(self._row(shared)[0] or 0)
        return rows

    def _sharing(self, number: int, side: str) -> str:
        """For matched keys with rows that were written as unmatched: how many, s.n, of how many, t.n."""
        shared = f"SELECT e, min(d) AS d, count(*) AS n FROM shared_{side} GROUP BY e"  # noqa: S608 - our own names
        rows = f"SELECT e, count(*) AS n FROM rows_{number} GROUP BY e"  # noqa: S608
        return f"({shared}) s JOIN ({rows}) t USING (e)"

    def _row(self, query: str) -> tuple[Any, ...]:
        # All of it, or DuckDB holds the result for unfinished.
        return self._connection.execute(query).fetchall()[0]

    def _find(self) -> None:
        """Answer the query, and find the rows of both sides whose key is in no row of the answer."""
        self._connection.execute(f"CREATE TABLE m AS {self._translation.sql}")
        for number, (info, side) in enumerate(zip(self._infos, "lr", strict=True)):
            self._connection.execute(f"CREATE TABLE k{number} AS {self._matched_keys(number, side)}")
            key = self._key(info)
            listed = ", ".join(f"t.{column} AS k{at}" for at, column in enumerate(key))
            same = " AND ".join(f"k.k{at} = t.{column}" for at, column in enumerate(key))
            self._connection.execute(
                f"CREATE TABLE u{number} AS SELECT {listed} FROM t{number} t "  # noqa: S608 - our own names
                f"WHERE NOT EXISTS (SELECT 1 FROM k{number} k WHERE {same})"
            )

    def _key(self, info: TableInfo) -> list[str]:
        return [f"c{info.schema.get_field_index(name)}" for name in info.primary_key]

    def _matched_keys(self, number: int, side: str) -> str:
        lists = self._translation.lists[number]
        names = [f"{side}{at}" for at in range(len(lists))]
        if not any(lists):
            listed = ", ".join(f"{name} AS k{at}" for at, name in enumerate(names))
            return f"SELECT DISTINCT {listed} FROM m"  # noqa: S608 - our own names
        gathered = [name for name, is_list in zip(names, lists, strict=True) if is_list]
        parts: list[str] = []
        for at, (name, is_list) in enumerate(zip(names, lists, strict=True)):
            parts.append(f"z[{gathered.index(name) + 1}] AS k{at}" if is_list else f"{name} AS k{at}")
        return (
            f"SELECT DISTINCT {', '.join(parts)} FROM (SELECT *, unnest({whole_keys(gathered)}) AS z FROM m)"  # noqa: S608
        )

    def _state(self) -> None:
        """Make the views <whose>_<output> of both answers: e is a key in one notation, d is for people."""
        names = [*self._names("l"), *self._names("r")]
        columns = [*self._written.keys[0], *self._written.keys[1]]
        lists = self._translation.lists
        shown = [f"{info.alias}.{name}" for info in self._infos for name in info.primary_key]
        ours = self._file("matched", columns)
        split = len(lists[0])
        for whose, source in (("kalla", ours), ("duckdb", "m")):
            given = columns if whose == "kalla" else names
            types = self._types(source)
            parts = [(_quoted(name), types[name]) for name in given]
            sides = (self._notation(parts[:split], lists[0]), self._notation(parts[split:], lists[1]))
            self._view(f"{whose}_matched", source, " || ".join(sides), parts, shown)
        for number, (info, side) in enumerate(zip(self._infos, OUTPUTS[1:], strict=True)):
            self._state_side(number, info, side)

    def _state_side(self, number: int, info: TableInfo, side: str) -> None:
        written, key = self._file(side, info.primary_key), [f"k{at}" for at in range(len(info.primary_key))]
        shown = [f"{info.alias}.{name}" for name in info.primary_key]
        views = (
            (f"all_{side}", written, [_quoted(name) for name in info.primary_key]),
            (f"duckdb_{side}", f"u{number}", key),
            (f"keys_{number}", f"k{number}", key),
            (f"rows_{number}", f"t{number}", self._key(info)),
        )
        for view, source, columns in views:
            types = self._types(source)
            parts = [(name, types[name.strip('"').replace('""', '"')]) for name in columns]
            plain = (False,) * len(parts)
            self._view(view, source, self._notation(parts, plain), parts, shown)
        self._share(number, side)

    def _share(self, number: int, side: str) -> None:
        """Make kalla_<side>: what was written as unmatched, without rows whose key a matched row has.

        Which of the rows that share a primary key are matched is not compared here; that not all of them
        are written as unmatched is.
        """
        unknown = f"SELECT 1 FROM duckdb_{side} d WHERE d.e = a.e"  # noqa: S608 - our own names
        known = f"SELECT 1 FROM keys_{number} k WHERE k.e = a.e"  # noqa: S608
        self._connection.execute(
            f"CREATE TABLE shared_{side} AS SELECT * FROM (SELECT * FROM all_{side} a "  # noqa: S608
            f"WHERE NOT EXISTS ({unknown})) a WHERE EXISTS ({known})"
        )
        (shared,) = self._row(f"SELECT count(*) FROM shared_{side}")  # noqa: S608
        if shared:
            self._sides_that_share.append((number, side))
        kept = f"SELECT 1 FROM shared_{side} s WHERE s.e = a.e"  # noqa: S608
        condition = f"NOT EXISTS ({kept})" if shared else "true"
        self._connection.execute(f"CREATE VIEW kalla_{side} AS SELECT * FROM all_{side} a WHERE {condition}")  # noqa: S608

    def _names(self, side: str) -> list[str]:
        return [f"{side}{at}" for at in range(len(self._translation.lists["lr".index(side)]))]

    def _file(self, output: str, columns: Sequence[str]) -> str:
        listed = ", ".join(_quoted(name) for name in dict.fromkeys(columns))
        return f"(SELECT {listed} FROM read_parquet({quoted_text(str(self._written.file(output)))}))"  # noqa: S608

    def _types(self, source: str) -> dict[str, str]:
        described = self._connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608
        return {str(row[0]): str(row[1]) for row in described}

    def _notation(self, parts: Sequence[tuple[str, str]], lists: Sequence[bool]) -> str:
        """A key as one text, the same for the same key, whichever engine's types it comes in."""
        gathered = [part for part, is_list in zip(parts, lists, strict=True) if is_list]
        texts = [
            f"coalesce({_written(name, kind)}, '~') || '|'"
            for (name, kind), is_list in zip(parts, lists, strict=True)
            if not is_list
        ]
        if gathered:
            zipped = [name for name, _ in gathered]
            zipped = zipped if len(zipped) > 1 else zipped * 2
            elements = " || ".join(
                f"coalesce({_written(f'z[{at}]', kind.removesuffix('[]'))}, '~') || '|'"
                for at, (_, kind) in enumerate(gathered, 1)
            )
            # In no order: array_agg promises none.
            each = f"list_transform(list_zip({', '.join(zipped)}), lambda z: {elements})"
            texts.append(f"'[' || array_to_string(list_sort({each}), ',') || ']'")
        return " || ".join(texts)

    def _view(
        self, name: str, source: str, key: str, parts: Sequence[tuple[str, str]], shown: Sequence[str]
    ) -> None:
        people = " || ', ' || ".join(
            f"{quoted_text(label + ' = ')} || coalesce(CAST({column} AS VARCHAR), 'NULL')"
            for label, (column, _) in zip(shown, parts, strict=True)
        )
        self._connection.execute(f"CREATE VIEW {name} AS SELECT {key} AS e, {people} AS d FROM {source}")  # noqa: S608


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _written(sql: str, kind: str) -> str:
    """A value as text: the same for one value in all of DuckDB's types for it."""
    if kind in _AS_TEXT:
        return f"CAST({sql} AS VARCHAR)"
    if kind.startswith("DECIMAL"):
        text = f"CAST({sql} AS VARCHAR)"
        return text if kind.endswith(",0)") else f"rtrim(rtrim({text}, '0'), '.')"
    write = _AS.get(kind)
    if write is None:
        not_possible("a primary key has a type that cannot be compared")
    return write.format(sql)


_AS_TEXT: Final = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
    | {"DATE", "BOOLEAN"}
)
_MICROSECONDS: Final = "CAST(CAST(epoch_us({}) AS HUGEINT) * 1000 AS VARCHAR)"
_AS: Final = {
    # Its length before it, so that no text looks like two.
    "VARCHAR": "strlen({0}) || ':' || {0}",
    "TIMESTAMP": _MICROSECONDS,
    "TIMESTAMP WITH TIME ZONE": _MICROSECONDS,
    "TIMESTAMP_MS": "CAST(CAST(epoch_us(CAST({} AS TIMESTAMP)) AS HUGEINT) * 1000 AS VARCHAR)",
    "TIMESTAMP_S": "CAST(CAST(epoch_us(CAST({} AS TIMESTAMP)) AS HUGEINT) * 1000 AS VARCHAR)",
    "TIMESTAMP_NS": "CAST(epoch_ns({}) AS VARCHAR)",
    "FLOAT": "CAST(CAST({} AS DOUBLE) AS VARCHAR)",
    "DOUBLE": "CAST({} AS VARCHAR)",
    "BLOB": "hex({})",
}
