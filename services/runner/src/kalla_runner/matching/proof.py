"""The proof of every run: what went in is accounted for, in what was written."""

from __future__ import annotations

from pathlib import Path

from kalla_common.errors import Code, KallaError

from kalla_runner.outputs.manifest import footer_rows
from kalla_runner.storage import storage_errors


def prove_side(alias: str, source_rows: int, matched_rows: int, unmatched: Path) -> int:
    """Check rows of the source = its rows whose key matched + its unmatched rows as they lie on the disk.

    Args:
        alias: the source.
        source_rows: its rows after its filters, counted as they were read.
        matched_rows: how many of them are marked as matched.
        unmatched: the Parquet file of the others.

    Returns:
        The unmatched rows.

    Raises:
        KallaError: CONSERVATION_FAILED with all figures.
    """
    with storage_errors(unmatched):
        unmatched_rows = footer_rows(unmatched)
    if source_rows != matched_rows + unmatched_rows:
        raise KallaError(
            Code.CONSERVATION_FAILED,
            f"Of the {source_rows} rows of {alias!r}, {matched_rows + unmatched_rows} are accounted for "
            f"({matched_rows} matched, {unmatched_rows} unmatched); the run's outputs were discarded.",
            source=alias,
            source_rows=str(source_rows),
            accounted_rows=str(matched_rows + unmatched_rows),
        )
    return unmatched_rows


def prove_matched(streamed_rows: int, matched: Path) -> int:
    """Check that the file of matched rows holds as many rows as the query gave; returns them.

    Raises:
        KallaError: CONSERVATION_FAILED with both figures.
    """
    with storage_errors(matched):
        written_rows = footer_rows(matched)
    if written_rows != streamed_rows:
        raise KallaError(
            Code.CONSERVATION_FAILED,
            f"The query gave {streamed_rows} matched rows, but {written_rows} were written; "
            "the run's outputs were discarded.",
            source_rows=str(streamed_rows),
            accounted_rows=str(written_rows),
        )
    return written_rows
