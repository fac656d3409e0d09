"""The header of a CSV file: delimiter, column names, and where the rows begin."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.csv.header import rows_wanted, sentence, suspect
from kalla_runner.connectors.csv.records import (
    MalformedError,
    Record,
    count_line_ends,
    read_record,
    records,
)
from kalla_runner.connectors.paths import OLE, ZIP

BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS: Final = (b",", b";", b"\t", b"|")
_HEAD_BYTES: Final = 1 << 16
_LONGEST_HEADER: Final = 1 << 26
_SEP: Final = re.compile(rb'"?sep=([^\r\n])"?(?:\r\n|\r|\n)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written.

    Attributes:
        delimiter: one byte.
        names: the columns, at least one, distinct and not empty.
        data_start: the byte at which the first row begins.
    """

    delimiter: bytes
    names: tuple[str, ...]
    data_start: int


def read_dialect(read_head: Callable[[int], bytes], name: str, vouched: Collection[str] = ()) -> Dialect:
    """The dialect, from the file's first record. Excel's `sep=;` above it names the delimiter.

    Args:
        read_head: gives the first n bytes of the file, fewer only if the file is shorter.
        name: the file's name, for errors; `.tsv` says that a tab is the likelier delimiter.
        vouched: column names that are names even if they look like values.

    Raises:
        KallaError: INVALID_DATA if there is no usable header, or the first record looks like a row.
    """
    size = _HEAD_BYTES
    while True:
        head = read_head(size)
        whole = len(head) < size
        start = _content_start(head, name)
        record = _header(head, start, name, complete=whole)
        if record is not None:
            _check_names(head, *record, name, vouched, complete=whole)
            return _dialect(head, *record, name)
        if size >= _LONGEST_HEADER:
            raise KallaError(Code.INVALID_DATA, f"The header of {name} does not end within 64 MB.")
        size = min(8 * size, _LONGEST_HEADER)


def _check_names(
    head: bytes, record: Record, delimiter: bytes, name: str, vouched: Collection[str], *, complete: bool
) -> None:
    """Raise INVALID_DATA if the first record is a row like those below it."""
    names = [field.decode(errors="replace") for field in record.fields]
    rows: list[list[str]] = []
    try:
        for below in records(head, delimiter, blank_lines=False, start=record.end):
            if below.end == len(head) and not complete:
                break
            if len(below.fields) == len(names):
                rows.append([field.decode(errors="replace") for field in below.fields])
            if len(rows) == rows_wanted(len(names)):
                break
    except MalformedError:
        pass  # what is wrong with that record is said when it is read
    why = suspect(names, rows, vouched)
    if why is not None:
        line = count_line_ends(head[: record.start]) + 1
        raise _invalid(sentence(name, line, names, rows, why), line)


def _content_start(head: bytes, name: str) -> int:
    if head.startswith(_UTF16):
        raise KallaError(Code.INVALID_DATA, f"The file {name} is UTF-16 text; save it as UTF-8.")
    if head.startswith((ZIP, OLE)):
        raise KallaError(
            Code.INVALID_DATA,
            f"The file {name} is a spreadsheet (Excel or the like) under the name of a CSV file; save the "
            "sheet as CSV.",
        )
    start = len(BOM) if head.startswith(BOM) else 0
    while start < len(head) and head[start] in b"\r\n":
        start += 1
    return start


def _separator(head: bytes, start: int, name: str) -> tuple[int, tuple[bytes]] | None:
    """Where the text begins below a line such as `sep=;`, and the one delimiter, which it names."""
    found = _SEP.match(head, start)
    if found is None:
        return None
    if found[1] not in _DELIMITERS:
        raise _invalid(
            f"The first line of {name}, sep={found[1].decode(errors='replace')}, names a delimiter that "
            "Kalla does not read; write the file with a comma, a semicolon, a tab or a vertical bar.",
            1,
        )
    return found.end(), (found[1],)


def _header(head: bytes, start: int, name: str, *, complete: bool) -> tuple[Record, bytes] | None:
    """The header and its delimiter; None if more bytes are needed to see its end."""
    if start == len(head):
        if not complete:
            return None
        raise KallaError(Code.EMPTY_FILE, f"The file {name} is empty; its first line must name the columns.")
    start, delimiters = _separator(head, start, name) or (start, _DELIMITERS)
    candidates = [_Candidate.of(head, start, delimiter) for delimiter in delimiters]
    likely = b"\t" if ".tsv" in name.lower() else b","
    # The one that splits off the most fields, even if one of them turns out to be malformed.
    best = max(candidates, key=lambda one: (one.fields, one.record is not None, one.delimiter == likely))
    # A final \r may be the first half of \r\n: a record ends only when the next byte is known.
    if not complete and (best.record is None or best.record.end == len(head)):
        return None
    if best.record is None:
        line = count_line_ends(head[:start]) + 1
        raise _invalid(f"The header of {name} (line {line}) {best.problem}.", line)
    return best.record, best.delimiter


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What the header looks like with one delimiter: how many fields, and the record or its problem."""

    delimiter: bytes
    fields: int
    record: Record | None
    problem: str = ""

    @classmethod
    def of(cls, head: bytes, start: int, delimiter: bytes) -> _Candidate:
        try:
            record = read_record(head, start, delimiter)
        except MalformedError as error:
            return cls(delimiter, error.field, None, error.problem)
        return cls(delimiter, len(record.fields), record)


def _dialect(head: bytes, record: Record, delimiter: bytes, name: str) -> Dialect:
    line = count_line_ends(head[: record.start]) + 1
    try:
        names = tuple(field.decode() for field in record.fields)
    except UnicodeDecodeError as error:
        raise _invalid(
            f"The header of {name} (line {line}) is not UTF-8 text; save the file as UTF-8.", line
        ) from error
    if any("\0" in column for column in names):
        # No text of PostgreSQL or of most tools holds it, and spreadsheets saved under this name do.
        raise _invalid(
            f"The header of {name} (line {line}) holds U+0000, so it is no CSV; save it as CSV.",
            line,
        )
    seen: set[str] = set()
    for position, column in enumerate(names, start=1):
        if not column.strip():
            message = f"Column {position} of {name} has no name in the header (line {line}); give it one."
            raise _invalid(message, line)
        if column in seen:
            message = (
                f"The header of {name} (line {line}) names the column {column!r} twice; rename one of them."
            )
            raise _invalid(message, line)
        seen.add(column)
    return Dialect(delimiter, names, record.end)


def _invalid(message: str, line: int) -> KallaError:
    return KallaError(Code.INVALID_DATA, message, line=str(line))
