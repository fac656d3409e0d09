"""The second, slow and exact look at a block that could not be read: which line, and what is wrong."""

from __future__ import annotations

from typing import Final

from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.csv.blocks import Block
from kalla_runner.connectors.csv.bytes_in import open_bytes
from kalla_runner.connectors.csv.columns import DeclaredMisfitError
from kalla_runner.connectors.csv.dialect import Dialect
from kalla_runner.connectors.csv.records import MalformedError, Record, count_line_ends, records
from kalla_runner.pinned import PinnedBytes

_PIECE: Final = 1 << 20
_SHOWN: Final = 60
_SHOWN_NAMES: Final = 6


def malformed(source: PinnedBytes, error: MalformedError, block_start: int) -> KallaError:
    """The error for quotes that break the rules, in the block that starts at byte `block_start`."""
    line = _line_at(source, block_start + error.position)
    return _invalid(f"Line {line} of {source.name} {error.problem}; correct the quotes there.", line)


def bad_block(source: PinnedBytes, dialect: Dialect, block: Block, reason: str) -> KallaError:
    """The error for a block that Arrow refused for `reason`: its first ragged row or undecodable byte."""
    data = bytes(memoryview(block.data)[: block.size])
    expected = len(dialect.names)
    for record in records(data, dialect.delimiter, blank_lines=expected == 1):
        found = len(record.fields)
        try:
            data[record.start : record.end].decode()
        except UnicodeDecodeError as error:
            line = _line_at(source, block.start + record.start + error.start)
            byte = data[record.start + error.start]
            message = f"Line {line} of {source.name} holds the byte 0x{byte:02x}, which is not UTF-8 text"
            return _invalid(f"{message}; save the file as UTF-8.", line)
        if found != expected:
            line = _line_at(source, block.start + record.start)
            fields = "1 field" if found == 1 else f"{found} fields"
            names = " | ".join(dialect.names[:_SHOWN_NAMES]) + (" ..." if expected > _SHOWN_NAMES else "")
            message = f"Line {line} of {source.name} has {fields} where the header has {expected} ({names})"
            return _invalid(
                f"{message}; correct the line, quote fields that hold the delimiter, or remove lines above "
                "the column names.",
                line,
            )
    line = _line_at(source, block.start)
    return _invalid(f"{source.name} cannot be read from line {line} on: {reason[:200]}.", line)


def declared_misfit(
    source: PinnedBytes,
    dialect: Dialect,
    block: Block,
    error: DeclaredMisfitError,
    *,
    rows_before: int,
    type_text: str,
) -> KallaError:
    """The error for a value that does not fit the declared type named `type_text`; rows count from 1."""
    column = dialect.names[error.column]
    row = rows_before + error.row + 1
    line = _line_at(source, block.start + _row(dialect, block, error.row).start)
    value = error.value if len(error.value) <= _SHOWN else error.value[:_SHOWN] + "..."
    return KallaError(
        Code.SCHEMA_MISMATCH,
        f"Column {column!r} of {source.name} holds {value!r} in row {row} (line {line}), which does not "
        f"fit the declared type {type_text}; correct the value or the schema.",
        column=column,
        row=str(row),
        line=str(line),
    )


def _row(dialect: Dialect, block: Block, row: int) -> Record:
    data = bytes(memoryview(block.data)[: block.size])
    found = records(data, dialect.delimiter, blank_lines=len(dialect.names) == 1)
    for _ in range(row):
        next(found)
    return next(found)


def _line_at(source: PinnedBytes, position: int) -> int:
    """The number, from 1, of the line that holds the byte at `position` of the file's text."""
    lines = 1
    left = position
    buffer = bytearray(_PIECE)
    carried = b""
    with open_bytes(source) as text:
        while left > 0:
            count = text.read_into(memoryview(buffer)[: min(left, _PIECE)])
            if count == 0:
                break
            left -= count
            piece = carried + bytes(buffer[:count])
            # A \r at the end waits for the byte behind it: \r\n is one line end.
            carried = b"\r" if piece.endswith(b"\r") and left else b""
            lines += count_line_ends(piece[: len(piece) - len(carried)])
    return lines


def _invalid(message: str, line: int) -> KallaError:
    return KallaError(Code.INVALID_DATA, message, line=str(line))
