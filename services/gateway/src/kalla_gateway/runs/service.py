"""What can happen to a run. Each function may be called again with the same: it is applied once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kalla_common.db import ReadSession, WriteSession
from kalla_common.domain import JobState
from kalla_common.errors import Code, KallaError
from kalla_common.runner.ports import JobView
from kalla_common.telemetry import redact

from kalla_gateway.runs import repository
from kalla_gateway.runs.status import RunStatus
from kalla_gateway.runs.tables import RunRow


class Outcome(StrEnum):
    """What became of something reported about a run."""

    APPLIED = "applied"
    IGNORED = "ignored"
    """It was known already, or came after the run's end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A reported progress; what was not reported is None.

    `sequence` grows with every report of a run: an older one is ignored.
    """

    stage: str
    progress: float | None = None
    matched_count: int | None = None
    total_left: int | None = None
    total_right: int | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The reported end of a completed run; counts in rows."""

    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    output_matched: str
    output_unmatched_left: str
    output_unmatched_right: str
    diagnostics: dict[str, Any] | None = None
    """What the runner noticed; under `witness` what a second engine found, if one was asked."""


async def require(session: ReadSession | WriteSession, run_id: str) -> RunRow:
    """Return the run.

    Raises:
        KallaError: RUN_NOT_FOUND.
    """
    row = await repository.find(session, run_id)
    if row is None:
        raise KallaError(
            Code.RUN_NOT_FOUND, f"No run has the id {run_id!r}; GET /api/runs lists them.", run_id=run_id
        )
    return row


async def newest_first(
    session: ReadSession, limit: int | None = None, before: str | None = None, *, whole: bool = False
) -> Sequence[RunRow]:
    """Return runs, newest first; with `before`, those older than that run.

    Without `whole` they lack recipe, filters, progress and diagnostics: a list shows none of them.

    Raises:
        KallaError: RUN_NOT_FOUND if `before` is no run.
    """
    last = None if before is None else await require(session, before)
    return await repository.newest_first(session, limit, last, whole=whole)


async def report_progress(
    session: WriteSession, run_id: str, report: Progress, seen: RunRow | None = None
) -> Outcome:
    """Store a progress; with `seen`, only if nothing was heard of the run since then.

    Raises:
        KallaError: RUN_NOT_FOUND.
    """
    progress = asdict(report)
    sequence = progress.pop("sequence")
    changed = await repository.store_progress(session, run_id, progress, sequence, seen)
    return await _outcome(session, run_id, changed)


async def report_completion(session: WriteSession, run_id: str, report: Completion) -> Outcome:
    """End a run as completed.

    Raises:
        KallaError: RUN_NOT_FOUND.
    """
    # What was heard last may be older than the end, and nothing at all if the reports were lost.
    done = {
        "stage": "matching",
        "progress": 1.0,
        "matched_count": report.matched_count,
        "total_left": _total_rows(report, "left"),
        "total_right": _total_rows(report, "right"),
    }
    changed = await repository.end(session, run_id, RunStatus.COMPLETED, done=done, **asdict(report))
    return await _outcome(session, run_id, changed)


async def report_error(session: WriteSession, run_id: str, message: str, code: str | None) -> Outcome:
    """End a run as failed, or as cancelled if that is what the code says.

    Raises:
        KallaError: RUN_NOT_FOUND.
    """
    status = RunStatus.CANCELLED if code == Code.CANCELLED else RunStatus.FAILED
    changed = await repository.end(session, run_id, status, error_message=redact(message), error_code=code)
    return await _outcome(session, run_id, changed)


async def apply_job(session: WriteSession, seen: RunRow, job: JobView) -> Outcome:
    """Bring a run, last `seen` as it was before asking, to where the runner says its job is.

    Raises:
        KallaError: RUN_NOT_FOUND.
    """
    run_id = seen.run_id
    match job.state:
        case JobState.COMPLETED if job.result is not None:
            return await report_completion(session, run_id, _completion(job))
        case JobState.FAILED | JobState.CANCELLED | JobState.COMPLETED:
            cancelled = job.state is JobState.CANCELLED
            code = Code.CANCELLED.value if cancelled else (job.error_code or Code.INTERNAL.value)
            default = "The run was cancelled." if cancelled else "The job ended without a result."
            return await report_error(session, run_id, job.error_message or default, code)
        case JobState.RUNNING if job.progress is not None:
            p = job.progress
            report = Progress(p.stage, p.progress, p.matched_count, p.total_left, p.total_right)
            return await report_progress(session, run_id, report, seen)
        case _:
            await repository.note_heard(session, run_id)
            return Outcome.IGNORED


def _total_rows(report: Completion, side: str) -> int | None:
    """The rows of a side, if the report has diagnostics of the documented form."""
    found: Any = (report.diagnostics or {}).get(side)
    total = found.get("total_rows") if isinstance(found, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


async def _outcome(session: WriteSession, run_id: str, changed: bool) -> Outcome:
    if changed:
        return Outcome.APPLIED
    await require(session, run_id)
    return Outcome.IGNORED


def _completion(job: JobView) -> Completion:
    result = job.result
    if result is None:
        msg = "a completed job has a result"
        raise ValueError(msg)
    return Completion(
        matched_count=result.matched_count,
        unmatched_left_count=result.unmatched_left_count,
        unmatched_right_count=result.unmatched_right_count,
        output_matched=result.output_paths.matched,
        output_unmatched_left=result.output_paths.unmatched_left,
        output_unmatched_right=result.output_paths.unmatched_right,
        diagnostics={
            "left": asdict(result.left),
            "right": asdict(result.right),
            "match_path": result.match_path,
            **({"witness": result.witness.as_json()} if result.witness is not None else {}),
        },
    )
