"""What inference says: a recipe that was run, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import pyarrow as pa
from kalla_common.domain import SideDiagnostics, SqlCheck

from kalla_chat.inference.request import Example


class Verdict(StrEnum):
    """How an inference ended."""

    READY = "ready"
    """The recipe passed the check and a trial run; it may be proposed."""
    NO_RELIABLE_RULE = "no_reliable_rule"
    """Nothing in the data is reliable enough; `reason` says what is missing."""


class Shape(StrEnum):
    """How many rows of each side belong together."""

    ONE_TO_ONE = "1:1"
    ONE_TO_MANY = "1:N"
    MANY_TO_ONE = "N:1"
    MANY_TO_MANY = "N:M"


@dataclass(frozen=True, slots=True)
class DraftRecipe:
    """The part of a recipe that inference decides.

    `match_description` is plain words, a sentence a rule. `summed` says that match_sql compares sums per
    key: its rows then hold lists of keys.
    """

    match_sql: str
    match_description: str
    left_key: tuple[str, ...]
    right_key: tuple[str, ...]
    shape: Shape
    summed: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition of the match, with what speaks for it.

    Attributes:
        text: in plain words.
        sql: as it stands in match_sql.
        support: pairs (or groups, where amounts are summed) for which it holds.
        tested: pairs that the rules before it left.
        chance: share of random pairs for which it would hold, 0.0 to 1.0; None where it is not known.
        counter_examples: up to five of the tested pairs for which it does not hold.
    """

    text: str
    sql: str
    support: int
    tested: int
    chance: float | None = None
    counter_examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An example that the rules do not follow: `confirmed` but not matched, or rejected but matched."""

    example: Example
    confirmed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that was looked at, best first; `reliable` says whether it could have been proposed.

    `matched_left` and `matched_right` are distinct rows among those that inference saw; `objection` is
    empty if it is reliable.
    """

    text: str
    match_sql: str
    matched_left: int
    matched_right: int
    reliable: bool
    objection: str = ""


@dataclass(frozen=True, slots=True)
class TrialRun:
    """A run of a draft over the scoped sources, and rows of its outputs.

    The three tables hold the first rows of each output, at most as many as were asked for.
    """

    matched_count: int
    left: SideDiagnostics
    right: SideDiagnostics
    match_path: str
    matched: pa.Table
    unmatched_left: pa.Table
    unmatched_right: pa.Table


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """What the trial run gave; all figures are rows.

    `ambiguous_left`, `ambiguous_right`: matched rows with more partners than the shape allows, counted
    on the rows of `matched` that were fetched; `ambiguity_complete` says whether those were all.
    """

    matched_count: int
    matched_left: int
    matched_right: int
    unmatched_left: int
    unmatched_right: int
    ambiguous_left: int
    ambiguous_right: int
    ambiguity_complete: bool
    run: TrialRun


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column in figures, over the rows that inference saw.

    `patterns`: up to three shapes of its values with their rows, such as ("AAA-999999", 4981).
    `low`, `high`: its range as text; for text the lengths are in `lengths`, in characters.
    """

    name: str
    data_type: str
    rows: int
    nulls: int
    distinct: int
    unique: bool
    low: str = ""
    high: str = ""
    lengths: tuple[int, int] | None = None
    patterns: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SourceProfile:
    """One source in figures. `key_objection` says what is wrong with the primary key, if anything is."""

    alias: str
    rows: int
    total_rows: int
    columns: tuple[ColumnProfile, ...]
    primary_key: tuple[str, ...]
    key_objection: str = ""


@dataclass(frozen=True, slots=True)
class Inference:
    """The end of an inference.

    Attributes:
        verdict: READY, or NO_RELIABLE_RULE.
        reason: one or two sentences: why this recipe, or why none.
        recipe: set if READY.
        rules: the conditions of the recipe in the order in which they were found.
        trial: what its trial run gave; set if READY.
        contradictions: examples that the recipe does not follow, to be shown to the person.
        candidates: what was looked at, best first, at most five.
        notes: further sentences that a person should read, such as a guess at the order of day and month.
        left, right: the profiles.
    """

    verdict: Verdict
    reason: str
    left: SourceProfile
    right: SourceProfile
    recipe: DraftRecipe | None = None
    rules: tuple[Rule, ...] = ()
    trial: TrialSummary | None = None
    contradictions: tuple[Contradiction, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProposedPair:
    """Two rows to show to a person, and why: `clear` ones look right, the others ask a question."""

    example: Example
    why: str
    clear: bool


class Trials(Protocol):
    """How a draft is put to the test; both calls raise KallaError where the runner cannot be used."""

    async def check(self, draft: DraftRecipe) -> SqlCheck:
        """RunnerService.CheckMatchSql on the draft's query and keys, over the scoped sources."""
        ...

    async def run(self, draft: DraftRecipe, rows: int) -> TrialRun:
        """Run the draft over the scoped sources; bring at most `rows` rows of each output."""
        ...
