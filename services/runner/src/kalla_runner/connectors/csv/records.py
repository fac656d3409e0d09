"""Reads CSV record by record, slowly and strictly: the header, and what is wrong with a bad file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

Data = bytes | bytearray

QUOTE: Final = ord('"')
_QUOTED: Final = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"')
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class MalformedError(Exception):
    """A record breaks the rules of CSV.

    Attributes:
        position: the byte where.
        problem: what, as the end of a sentence about the record.
        field: which of the record's fields it is, from 1; 0 if that was not counted.
    """

    def __init__(self, position: int, problem: str, field: int = 0) -> None:
        super().__init__(problem)
        self.position = position
        self.problem = problem
        self.field = field


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its fields as bytes, quotes resolved, and where it starts and where the next one does."""

    fields: tuple[bytes, ...]
    start: int
    end: int


def read_record(data: Data, position: int, delimiter: bytes) -> Record:
    """The record that starts at `position`; the end of `data` ends it.

    Raises:
        MalformedError: a quote is not closed, or text follows a closing quote.
    """
    fields: list[bytes] = []
    start = position
    unquoted = _unquoted(delimiter)
    while True:
        if position < len(data) and data[position] == QUOTE:
            quoted = _QUOTED.match(data, position)
            if quoted is None:
                raise MalformedError(position, "opens a quote that is never closed", len(fields) + 1)
            field, position = quoted[0][1:-1].replace(b'""', b'"'), quoted.end()
        else:
            plain = unquoted.match(data, position)
            assert plain is not None  # noqa: S101 - the pattern matches nothing, too
            field, position = plain[0], plain.end()
        fields.append(bytes(field))
        if position == len(data):
            return Record(tuple(fields), start, position)
        line_end = _LINE_END.match(data, position)
        if line_end is not None:
            return Record(tuple(fields), start, line_end.end())
        if data[position] != delimiter[0]:
            problem = "has text between a closing quote and the next delimiter"
            raise MalformedError(position, problem, len(fields))
        position += 1


def records(data: Data, delimiter: bytes, *, blank_lines: bool, start: int = 0) -> Iterator[Record]:
    """All records of `data` from byte `start` on; blank lines count as records only if asked for.

    Raises:
        MalformedError: as `read_record`.
    """
    position = start
    while position < len(data):
        record = read_record(data, position, delimiter)
        if blank_lines or record.fields != (b"",) or data[record.start] == QUOTE:
            yield record
        position = record.end


def count_line_ends(data: Data) -> int:
    r"""How many lines end in `data`: by \n, \r\n or a lone \r."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


@cache
def _unquoted(delimiter: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"[^\r\n" + re.escape(delimiter) + rb"]*")
