"""One block of rows into columns of text, by Arrow's CSV parser."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import csv

from kalla_runner.connectors.csv.blocks import Block
from kalla_runner.connectors.csv.dialect import BOM, Dialect


class BadBlockError(Exception):
    """The block has a ragged row or bytes that are not UTF-8."""


class BlockParser:
    """Parses blocks of one file.

    Args:
        dialect: the file's.
        columns: the columns to keep, default all.
    """

    def __init__(self, dialect: Dialect, columns: Sequence[str] | None = None) -> None:
        self._dialect = dialect
        self._single = len(dialect.names) == 1
        self._columns = list(dialect.names if columns is None else columns)
        # An empty field is NULL, an empty quoted field is an empty text.
        self._convert = csv.ConvertOptions(
            column_types=dict.fromkeys(self._columns, pa.string()),
            include_columns=self._columns,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )

    def parse(self, block: Block) -> list[pa.StringArray]:
        """The block's columns as text, one array each, all of the same length.

        Raises:
            BadBlockError: Arrow refused it.
        """
        data = pa.py_buffer(block.data).slice(0, block.size)
        if block.data.startswith(BOM):
            # Arrow takes one BOM for the file's own and drops it; here it belongs to a value.
            data = pa.py_buffer(BOM + bytes(data))
        if block.data.endswith(self._dialect.delimiter, 0, block.size):
            # Behind the last quoted field of a file, Arrow takes an empty one at the very end for quoted.
            data = pa.py_buffer(bytes(data) + b"\n")
        read = csv.ReadOptions(
            use_threads=False, column_names=list(self._dialect.names), block_size=max(data.size, 1)
        )
        parse = csv.ParseOptions(
            delimiter=self._dialect.delimiter.decode(),
            newlines_in_values=block.quoted,
            # Where there is one column, an empty line is a row whose value is NULL.
            ignore_empty_lines=not self._single,
        )
        try:
            table = csv.read_csv(pa.BufferReader(data), read, parse, self._convert)
        except pa.ArrowInvalid as error:
            raise BadBlockError(str(error)) from error
        return [
            column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in table.columns
        ]
