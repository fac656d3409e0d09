"""Puts a run's question to DuckDB, on the same staged rows, and compares the answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import duckdb
from kalla_common.domain import WitnessReport
from kalla_common.errors import Code, KallaError
from kalla_common.telemetry import log

from kalla_runner.matching.limits import MIB, Limits
from kalla_runner.matching.plan import MatchPlan, TableInfo
from kalla_runner.matching.witness.answer import OUTPUTS, Answers, Written
from kalla_runner.matching.witness.tables import load_tables
from kalla_runner.matching.witness.translate import translate
from kalla_runner.matching.witness.typed import NotPossibleError
from kalla_runner.staging import StagedTable

ENGINE: Final = f"duckdb {duckdb.__version__}"
LEAST_SECONDS: Final = 60.0
"""How long the witness may take at least."""
TIMES_AS_LONG: Final = 20.0
"""How many times as long as the match itself it may take where that is longer."""
_MEMORY_SHARE: Final = 2
"""The witness gets one part of so many of the run's memory: what the match took is not all given back yet."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the match engine was asked, and where its answer is.

    Attributes:
        match_sql: as its author wrote it.
        plan: what Kalla made of it; only the tables and the names of the key columns count here.
        tables: the staged tables, as in the plan: left, right, look-ups.
        infos: the same tables as match_sql sees them.
        folder: the attempt's, in which the three outputs are.
        scratch: folder for what does not fit in memory.
    """

    match_sql: str
    plan: MatchPlan
    tables: Sequence[StagedTable]
    infos: Sequence[TableInfo]
    folder: Path
    scratch: Path


def witness(question: Question, limits: Limits, match_seconds: float) -> WitnessReport:
    """Answer the question once more and compare.

    Args:
        question: what was asked, and the answer to compare with.
        limits: what the run may use.
        match_seconds: how long the match engine took.

    Returns:
        That both agree, or why the second answer could not be had with certainty.

    Raises:
        KallaError: WITNESS_DISAGREES with both figures and an example.
    """
    began = time.perf_counter()
    allowed = max(LEAST_SECONDS, TIMES_AS_LONG * match_seconds)
    try:
        report = _answered(question, limits, allowed)
    except NotPossibleError as error:
        reason = str(error)
    except duckdb.InterruptException:
        reason = f"DuckDB took longer than {allowed:.0f} seconds"
    except (duckdb.OutOfMemoryException, MemoryError):
        reason = f"DuckDB needs more memory than its {limits.memory_bytes // _MEMORY_SHARE / MIB:.0f} MiB"
    except KallaError:
        raise
    except duckdb.Error as error:
        # Its text may hold values of the sources.
        log.warning("witness_not_possible", error=type(error).__name__)
        reason = _REASONS.get(type(error).__name__, "DuckDB cannot run the translated query")
    except Exception:  # noqa: BLE001 - a run that is proven does not fail for a defect of its witness
        log.exception("witness_failed")
        reason = "the comparison failed in an unexpected way; the runner's log has the details"
    else:
        return replace(report, seconds=round(time.perf_counter() - began, 3))
    seconds = round(time.perf_counter() - began, 3)
    return WitnessReport(
        "not_possible", reason=f"{reason[:1].upper()}{reason[1:]}.", engine=ENGINE, seconds=seconds
    )


_REASONS: Final = {
    "OutOfRangeException": "a computed number has more digits than DuckDB's types",
    "ConversionException": "a value has a form, or a size, that the two engines may read differently",
    "InvalidInputException": "a value has a form that the two engines may read differently",
    "IOException": "there is no room for DuckDB's intermediate data",
}


def _answered(question: Question, limits: Limits, seconds: float) -> WitnessReport:
    with database(question, limits) as connection, _interrupted_after(connection, seconds):
        infos = question.infos
        translation = translate(question.match_sql, infos[0], infos[1], infos[2:], connection)
        load_tables(connection, translation, infos, question.tables)
        keys = (question.plan.left_key_columns, question.plan.right_key_columns)
        answers = Answers(connection, translation, infos, Written(question.folder, keys))
        return _compared(question, answers)


def _compared(question: Question, answers: Answers) -> WitnessReport:
    ours = {output: answers.figures("kalla", output) for output in OUTPUTS}
    theirs = {output: answers.figures("duckdb", output) for output in OUTPUTS}
    differing = next((output for output in OUTPUTS if ours[output] != theirs[output]), None)
    if differing is not None:
        raise _disagreement(question, answers, differing, answers.example(differing))
    left_out = answers.left_out()
    if left_out is not None:
        raise _disagreement(question, answers, "unmatched", ("kalla", left_out))
    counts = answers.counts("kalla")
    matched, left, right = (ours[output][1] for output in OUTPUTS)
    return WitnessReport(
        "agreed",
        engine=ENGINE,
        matched_count=counts["matched"],
        unmatched_left_count=counts["unmatched_left"],
        unmatched_right_count=counts["unmatched_right"],
        matched_hash=matched,
        unmatched_left_hash=left,
        unmatched_right_hash=right,
    )


@contextmanager
def database(question: Question, limits: Limits) -> Generator[duckdb.DuckDBPyConnection]:
    """A database in memory that reads nothing but what it is given and the run's outputs."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": limits.threads,
            "memory_limit": f"{limits.memory_bytes // _MEMORY_SHARE}B",
            "temp_directory": str(question.scratch / "duckdb"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "python_enable_replacements": False,
            # As in a query that Kalla has run: a division by zero in a row that a condition leaves out.
            "error_on_division_by_zero": False,
            "preserve_insertion_order": False,
        },
    )
    try:
        files = [str(question.folder / f"{output}.parquet") for output in OUTPUTS]
        connection.execute("SET allowed_paths = $files", {"files": files})
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


@contextmanager
def _interrupted_after(connection: duckdb.DuckDBPyConnection, seconds: float) -> Generator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _disagreement(
    question: Question, answers: Answers, output: str, example: tuple[str, str] | None
) -> KallaError:
    ours, theirs = answers.counts("kalla"), answers.counts("duckdb")
    shown = ""
    if example is not None:
        engine = {"kalla": "Kalla", "duckdb": "DuckDB"}[example[0]]
        shown = f" For example, {example[1]} is {output.partition('_')[0]} by {engine} alone."
    details = {f"kalla_{name}": str(rows) for name, rows in ours.items()}
    details |= {f"duckdb_{name}": str(rows) for name, rows in theirs.items()}
    details |= {} if example is None else {"example": example[1]}
    sides = question.plan.left.alias, question.plan.right.alias
    return KallaError(
        Code.WITNESS_DISAGREES,
        f"The second engine, DuckDB, does not agree: Kalla has {_sentence(ours, sides)}, DuckDB has "
        f"{_sentence(theirs, sides)}.{shown} The run's outputs were discarded.",
        **details,
    )


def _sentence(counts: dict[str, int], sides: tuple[str, str]) -> str:
    matched, left, right = (counts[output] for output in OUTPUTS)
    return f"{matched:,} matched rows, {left:,} unmatched of {sides[0]} and {right:,} of {sides[1]}"
