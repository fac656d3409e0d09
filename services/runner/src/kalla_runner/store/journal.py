"""Jobs as the journal keeps them: plain JSON, so that a newer runner reads what an older one wrote.

A spec has one text only: two specs are the same if their texts are.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from kalla_common.domain import (
    FilterCondition,
    FilterOp,
    FilterScalar,
    JobResult,
    JobSpec,
    JobState,
    OutputPaths,
    SideDiagnostics,
    SourceSpec,
    WitnessReport,
)
from kalla_common.errors import INTERNAL_MESSAGE, Code, KallaError


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, as a caller may see it."""

    code: str
    message: str
    details: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: KallaError) -> Failure:
        """The failure behind an error."""
        return cls(error.code.value, error.message, dict(error.details))

    @classmethod
    def internal(cls) -> Failure:
        """A defect of ours; the log has the details."""
        return cls(Code.INTERNAL.value, INTERNAL_MESSAGE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: completed with `result`, else with `failure`."""

    state: JobState
    result: JobResult | None = None
    failure: Failure | None = None

    @classmethod
    def completed(cls, result: JobResult) -> Outcome:
        """The job did what was asked."""
        return cls(JobState.COMPLETED, result)

    @classmethod
    def failed(cls, failure: Failure) -> Outcome:
        """The job failed, or was cancelled if the failure says so."""
        cancelled = failure.code == Code.CANCELLED.value
        return cls(JobState.CANCELLED if cancelled else JobState.FAILED, None, failure)


def spec_to_text(spec: JobSpec) -> str:
    """The one text of a spec."""
    tree = asdict(spec)
    if not spec.trial:
        # Jobs of before there were trials keep their text.
        del tree["trial"]
    if spec.witness is None:
        # As those of before there was a witness.
        del tree["witness"]
    for source, of in zip(tree["sources"], spec.sources, strict=True):
        source["filters"] = [
            {"column": f.column, "op": f.op.value, "values": [_scalar_out(value) for value in f.values]}
            for f in of.filters
        ]
    return json.dumps(tree, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def spec_from_text(text: str) -> JobSpec:
    """The reverse of `spec_to_text`."""
    tree = json.loads(text)
    tree["sources"] = tuple(_source(source) for source in tree["sources"])
    tree["primary_keys"] = {alias: tuple(columns) for alias, columns in tree["primary_keys"].items()}
    return JobSpec(**tree)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values."""
    tree = asdict(outcome)
    tree["state"] = outcome.state.value
    return tree


def outcome_from_json(tree: dict[str, Any]) -> Outcome:
    """The reverse of `outcome_to_json`."""
    result, failure = tree["result"], tree["failure"]
    return Outcome(
        JobState(tree["state"]),
        None if result is None else result_from_json(result),
        None if failure is None else Failure(**failure),
    )


def result_from_json(tree: dict[str, Any]) -> JobResult:
    """A result from the JSON values that `dataclasses.asdict` gives."""
    values = dict(tree)
    values["output_paths"] = OutputPaths(**tree["output_paths"])
    values["left"], values["right"] = _side(tree["left"]), _side(tree["right"])
    witness = tree.get("witness")
    values["witness"] = None if witness is None else WitnessReport(**witness)
    return JobResult(**values)


def _side(tree: dict[str, Any]) -> SideDiagnostics:
    values = dict(tree)
    for examples in ("duplicate_key_examples", "shared_key_examples"):
        # Older runners wrote fewer figures; what is missing has its default.
        values[examples] = tuple(tree.get(examples, ()))
    return SideDiagnostics(**values)


def _source(tree: dict[str, Any]) -> SourceSpec:
    filters = tuple(
        FilterCondition(f["column"], FilterOp(f["op"]), tuple(_scalar_in(value) for value in f["values"]))
        for f in tree["filters"]
    )
    return SourceSpec(tree["alias"], tree["uri"], filters, tuple(tree["schema"]))


def _scalar_out(value: FilterScalar) -> dict[str, str | bool]:
    # JSON has one kind of number only; the spec has two, and 1.20 must stay 1.20.
    match value:
        case bool():
            return {"boolean": value}
        case int():
            return {"integer": str(value)}
        case Decimal():
            return {"decimal": str(value)}
        case str():
            return {"text": value}


def _scalar_in(tree: dict[str, Any]) -> FilterScalar:
    ((kind, value),) = tree.items()
    match kind:
        case "boolean":
            return bool(value)
        case "integer":
            return int(value)
        case "decimal":
            return Decimal(value)
        case _:
            return str(value)
