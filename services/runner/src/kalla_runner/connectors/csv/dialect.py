"""The header of a CSV file: delimiter, column names, and where the rows begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.csv.records import MalformedError, Record, count_line_ends, read_record

BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS: Final = (b",", b";", b"\t", b"|")
_HEAD_BYTES: Final = 1 << 16
_LONGEST_HEADER: Final = 1 << 26


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


def read_dialect(read_head: Callable[[int], bytes], name: str) -> Dialect:
    """The dialect, from the file's first record.

    Args:
        read_head: gives the first n bytes of the file, fewer only if the file is shorter.
        name: the file's name, for errors; `.tsv` says that a tab is the likelier delimiter.

    Raises:
        KallaError: INVALID_DATA if there is no usable header.
    """
    size = _HEAD_BYTES
    while True:
        head = read_head(size)
        whole = len(head) < size
        start = _content_start(head, name)
        record = _header(head, start, name, complete=whole)
        if record is not None:
            return _dialect(head, *record, name)
        if size >= _LONGEST_HEADER:
            raise KallaError(Code.INVALID_DATA, f"The header of {name} does not end within 64 MB.")
        size = min(8 * size, _LONGEST_HEADER)


def _content_start(head: bytes, name: str) -> int:
    if head.startswith(_UTF16):
        raise KallaError(Code.INVALID_DATA, f"The file {name} is UTF-16 text; save it as UTF-8.")
    start = len(BOM) if head.startswith(BOM) else 0
    while start < len(head) and head[start] in b"\r\n":
        start += 1
    return start


def _header(head: bytes, start: int, name: str, *, complete: bool) -> tuple[Record, bytes] | None:
    """The header and its delimiter; None if more bytes are needed to see its end."""
    if start == len(head):
        if not complete:
            return None
        raise KallaError(Code.EMPTY_FILE, f"The file {name} is empty; its first line must name the columns.")
    candidates = [_Candidate.of(head, start, delimiter) for delimiter in _DELIMITERS]
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
