"""Cuts a CSV file into blocks of whole rows, exactly, also where quoted fields hold newlines.

Where every quote stands at a field's border or is doubled, a byte lies inside a quoted field
exactly if an odd number of quotes precedes it. So a file can be entered anywhere after counting
quotes, and read in several lanes at once. Each block proves that rule for its own quotes as it
is cut; a file that breaks it (a literal quote within a field) is read from its start by the
strict rules instead, in one lane.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from kalla_runner.connectors.csv.bytes_in import ReadInto, open_bytes
from kalla_runner.connectors.csv.records import QUOTE, MalformedError
from kalla_runner.pinned import PinnedBytes

MOST_ROW_BYTES: Final = 1 << 26
"""A row is held in memory whole, in every lane; a longer one is a quote that nobody closed, or an attack."""
_MOST_SIMPLE_BYTES: Final = 1 << 24
_STRETCHES: Final = 64
_TOO_LONG: Final = (
    f"begins a row of more than {MOST_ROW_BYTES >> 20} MB or opens a quote that is never closed"
)
_COUNT_BYTES: Final = 1 << 18
"""Quotes are counted in pieces that stay in the processor's cache."""


class UnprovenError(Exception):
    """The quotes do not follow the simple rule (or the file is malformed): read it strictly."""


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows, as bytes, valid until the next block is asked for.

    Attributes:
        data: the buffer that holds them.
        size: how many of its bytes they take.
        start: the position of the first one in the file's text.
        quoted: whether there is any quote.
    """

    data: bytearray
    size: int
    start: int
    quoted: bool


def read_blocks(
    read_into: ReadInto, start: int, block_size: int, delimiter: bytes, *, strict: bool
) -> Iterator[Block]:
    """The blocks of one lane, which begins at a row's start.

    Args:
        read_into: gives the lane's bytes.
        start: their position in the file's text.
        block_size: bytes read at a time; a block is larger only where a row is.
        delimiter: one byte.
        strict: find the row ends by the strict rules instead of proving the simple one.

    Raises:
        UnprovenError: the simple rule does not hold; only if not `strict`.
        MalformedError: the strict rules do not hold, or a row is longer than MOST_ROW_BYTES; its position
            counts from the last block's end.
    """
    buffer = bytearray(block_size)
    kept = 0
    while True:
        filled = kept + read_into(memoryview(buffer)[kept:])
        last = filled < len(buffer)
        if filled == 0:
            return
        cut, quoted = (_strict_cut if strict else _simple_cut)(buffer, filled, delimiter, last=last)
        if cut:
            yield Block(buffer, cut, start, quoted)
            start += cut
        if last and cut == filled:
            return
        kept = filled - cut
        if cut:
            buffer[:kept] = buffer[cut:filled]
        if kept > _MOST_SIMPLE_BYTES and not strict:
            # A quote within a field hides the row ends behind it; and all quotes of a block are listed.
            raise UnprovenError
        if kept > MOST_ROW_BYTES:
            raise MalformedError(0, _TOO_LONG)
        if kept > len(buffer) // 2 and len(buffer) <= MOST_ROW_BYTES:
            buffer = _grown(buffer, kept)


def _grown(buffer: bytearray, kept: int) -> bytearray:
    # One byte more than a row may have: a longer one fills it.
    grown = bytearray(max(len(buffer), min(2 * len(buffer), MOST_ROW_BYTES + 1)))
    grown[:kept] = buffer[:kept]
    return grown


def _row_end(buffer: bytearray, low: int, high: int, *, last: bool) -> int:
    """Behind the last line end within [low, high), which holds no quote; 0 if there is none."""
    found = buffer.rfind(b"\n", low, high)
    if found < 0:
        # A \r at the very end of what was read may be the first half of \r\n.
        found = buffer.rfind(b"\r", low, high if last else high - 1)
    return found + 1


def _simple_cut(buffer: bytearray, filled: int, delimiter: bytes, *, last: bool) -> tuple[int, bool]:
    data = np.frombuffer(buffer, np.uint8, filled)
    quotes = np.flatnonzero(data == QUOTE) if buffer.find(b'"', 0, filled) >= 0 else _NONE
    if not len(quotes):
        return (filled if last else _row_end(buffer, 0, filled, last=last)), False
    if last:
        if len(quotes) % 2:
            raise UnprovenError
        cut = filled
    else:
        cut = _cut_outside(buffer, filled, quotes)
        quotes = quotes[: np.searchsorted(quotes, cut)]
    _prove(data, quotes, delimiter)
    return cut, len(quotes) > 0


_NONE: Final[npt.NDArray[np.intp]] = np.zeros(0, np.intp)


def _cut_outside(buffer: bytearray, filled: int, quotes: npt.NDArray[np.intp]) -> int:
    """Behind the last line end that an even number of quotes precedes; 0 if there is none."""
    # Before, between and behind the quoted stretches: from the back, the first that holds a line end.
    opened = len(quotes) if len(quotes) % 2 == 0 else len(quotes) - 1
    high = filled if opened == len(quotes) else int(quotes[-1])
    for _ in range(_STRETCHES):
        low = int(quotes[opened - 1]) + 1 if opened else 0
        cut = _row_end(buffer, low, high, last=high < filled)
        if cut or not opened:
            return cut
        opened -= 2
        high = int(quotes[opened])
    return _far_cut_outside(buffer, high, quotes[: opened + 1])


def _far_cut_outside(buffer: bytearray, high: int, quotes: npt.NDArray[np.intp]) -> int:
    """The same below `high`, at one go: a row may hold millions of quotes."""
    data = np.frombuffer(buffer, np.uint8, high)
    for end in (b"\n", b"\r"):
        ends = np.flatnonzero(data == end[0])
        outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
        if len(outside):
            return int(outside[-1]) + 1
    return 0


def _prove(data: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp], delimiter: bytes) -> None:
    """Raise UnprovenError unless every quote is at a field's border or doubled."""
    if not len(quotes):
        return
    border = _border(delimiter)
    opening, closing = quotes[::2], quotes[1::2]
    before = opening[1:] if opening[0] == 0 else opening
    behind = closing[:-1] if closing[-1] == len(data) - 1 else closing
    if not (bool(border[data[before - 1]].all()) and bool(border[data[behind + 1]].all())):
        raise UnprovenError


@cache
def _border(delimiter: bytes) -> npt.NDArray[np.bool_]:
    border = np.zeros(256, np.bool_)
    border[list(b'\r\n"' + delimiter)] = True
    return border


@cache
def _quoted_field(delimiter: bytes) -> re.Pattern[bytes]:
    """A quoted field at a field's start; its group is the closing quote, empty if there is none."""
    return re.compile(rb"(?<![^\r\n" + re.escape(delimiter) + rb'])"[^"]*+(?:""[^"]*+)*+("?)')


def _strict_cut(buffer: bytearray, filled: int, delimiter: bytes, *, last: bool) -> tuple[int, bool]:
    """By the strict rules: a quote within an unquoted field is a letter like any other."""
    if buffer.find(b'"', 0, filled) < 0:
        return (filled if last else _row_end(buffer, 0, filled, last=False)), False
    border = b"\r\n" + delimiter
    cut, low = 0, 0
    quoted = False
    for field in _quoted_field(delimiter).finditer(buffer, 0, filled):
        cut = _row_end(buffer, low, field.start(), last=True) or cut
        low = field.end()
        if low == filled and not last:
            # Its end, or what follows it, is not read yet.
            return cut, quoted
        if not field[1] or (low < filled and buffer[low] not in border):
            if cut:
                # The rows before come first: one of them may hold the first error of the file.
                return cut, quoted
            if not field[1]:
                raise MalformedError(field.start(), "opens a quote that is never closed")
            raise MalformedError(low, "has text between a closing quote and the next delimiter")
        quoted = True
    if last:
        return filled, quoted
    return _row_end(buffer, low, filled, last=False) or cut, quoted


@dataclass(frozen=True, slots=True)
class Lane:
    """A stretch of the file that begins and ends at rows' starts."""

    start: int
    end: int


def split_lanes(source: PinnedBytes, data_start: int, lanes: int) -> Generator[Lane]:
    """Up to `lanes` stretches of about the same size, in order, that together hold all rows.

    Each is given as soon as its end is known, so that it can be read while the rest is looked
    through, or still on its way here. They are right if the simple rule holds for all quotes,
    which reading them proves.
    """
    step = -(-(source.size - data_start) // lanes)
    nominal = [data_start + index * step for index in range(lanes)]
    start = data_start
    odd = False
    for place, following in zip(nominal, [*nominal[1:], source.size], strict=True):
        with open_bytes(source, place, following) as text:
            for row, count in _scan(text.read_into, place, odd=odd, wanted=place > data_start):
                if row is not None and row > start:
                    yield Lane(start, row)
                    start = row
                odd ^= bool(count % 2)
    yield Lane(start, source.size)


def _scan(read_into: ReadInto, place: int, *, odd: bool, wanted: bool) -> Generator[tuple[int | None, int]]:
    """Piece by piece the first row that starts behind `place`, given once, and the piece's quotes."""
    buffer = bytearray(_COUNT_BYTES)
    view = memoryview(buffer)
    data: npt.NDArray[Any] = np.frombuffer(buffer, np.uint8)
    while filled := read_into(view):
        quotes = data[:filled] == QUOTE
        row: int | None = None
        if wanted:
            inside = (np.cumsum(quotes, dtype=np.int64) + odd) % 2 == 1
            ends = np.flatnonzero((data[:filled] == ord("\n")) & ~inside)
            if len(ends):
                row, wanted = place + int(ends[0]) + 1, False
        count = int(np.count_nonzero(quotes))
        odd ^= bool(count % 2)
        yield row, count
        place += filled
