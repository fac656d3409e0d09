"""All that a conversation came to, as it is stored with its session.

Facts live here and nowhere else: the phase follows from them (see `phases`), and going back is
taking facts away.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from kalla_common.domain import FilterCondition, FilterOp, FilterScalar
from pydantic import BaseModel, ConfigDict, Field

Cells = dict[str, str | None]
"""A row as people see it: text by column, NULL as None."""


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Scalar(_Fact):
    """A filter literal; a number keeps its decimal text, so that none is rounded."""

    kind: Literal["text", "number", "boolean"]
    text: str

    @classmethod
    def of(cls, value: FilterScalar) -> Scalar:
        """The stored form of a literal."""
        if isinstance(value, bool):
            return cls(kind="boolean", text=str(value).lower())
        if isinstance(value, str):
            return cls(kind="text", text=value)
        return cls(kind="number", text=str(value))

    @property
    def value(self) -> FilterScalar:
        """The literal."""
        if self.kind == "boolean":
            return self.text == "true"
        if self.kind == "text":
            return self.text
        number = Decimal(self.text)
        return int(self.text) if self.text.lstrip("-").isdigit() else number


class Condition(_Fact):
    """A filter on one side."""

    column: str
    op: FilterOp
    values: list[Scalar]

    @classmethod
    def of(cls, condition: FilterCondition) -> Condition:
        """The stored form of a filter."""
        return cls(column=condition.column, op=condition.op, values=[Scalar.of(v) for v in condition.values])

    def domain(self) -> FilterCondition:
        """The filter."""
        return FilterCondition(self.column, self.op, tuple(v.value for v in self.values))


class Column(_Fact):
    """A column and its plain type name."""

    name: str
    data_type: str


class Side(_Fact):
    """A chosen source. Its URI is asked for when it is read: no secret is stored here."""

    alias: str
    source_type: str
    columns: list[Column]
    filters: list[Condition] = Field(default_factory=list)
    row_count: int | None = None

    @property
    def names(self) -> list[str]:
        """The column names."""
        return [column.name for column in self.columns]

    def conditions(self) -> tuple[FilterCondition, ...]:
        """The filters."""
        return tuple(condition.domain() for condition in self.filters)


class Pair(_Fact):
    """Two rows shown to the person, and what was said of them."""

    number: int
    left: Cells
    right: Cells
    why: str
    clear: bool
    verdict: Literal["confirmed", "rejected"] | None = None


class Wishes(_Fact):
    """What the person asked for.

    Attributes:
        columns: pairs (left, right) that must decide the match.
        tolerance: largest difference of amounts.
        window_days: (earliest, latest) day of the right date after the left one.
        words: names of columns that were asked for before the sources were known.
        narrowings: conditions that were asked for before the columns were known, in the person's words.
    """

    columns: list[tuple[str, str]] = Field(default_factory=list)
    tolerance: Decimal | None = None
    window_days: tuple[int, int] | None = None
    words: list[tuple[str, str | None]] = Field(default_factory=list)
    narrowings: list[dict[str, Any]] = Field(default_factory=list)


class Trial(_Fact):
    """What the trial run of a draft gave; rows."""

    matched_count: int
    matched_left: int
    matched_right: int
    unmatched_left: int
    unmatched_right: int
    ambiguous_left: int
    ambiguous_right: int


class Draft(_Fact):
    """A recipe that passed the check and a trial run."""

    recipe_id: str
    name: str
    match_sql: str
    match_description: str
    left_key: list[str]
    right_key: list[str]
    shape: str
    rules: list[dict[str, Any]]
    trial: Trial
    reason: str
    notes: list[str] = Field(default_factory=list)
    contradictions: list[str] = Field(default_factory=list)


class Run(_Fact):
    """The full run."""

    run_id: str
    status: str = "submitted"
    error: str = ""


class IssuedCard(_Fact):
    """A card that was shown: how it may be answered, and whether it was."""

    type: str
    actions: list[str]
    answer: str | None = None
    draft: str | None = None
    role: str = ""


class Usage(_Fact):
    """What requests to a model took. `cost_usd` is None once a price was not known."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None


class State(_Fact):
    """The facts of one conversation. `examples` is how many pairs are shown."""

    begun: bool = False
    left: Side | None = None
    right: Side | None = None
    chosen_left: str | None = None
    wishes: Wishes = Field(default_factory=Wishes)
    scoped: bool = False
    examples: int = 4
    pairs: list[Pair] = Field(default_factory=list)
    demonstrated: bool = False
    no_rule: str = ""
    draft: Draft | None = None
    drafts: int = 0
    accepted: bool = False
    run: Run | None = None
    cards: dict[str, IssuedCard] = Field(default_factory=dict)
    usage: Usage = Field(default_factory=Usage)

    @property
    def sides(self) -> tuple[Side, Side] | None:
        """Both sides, once they are chosen."""
        return None if self.left is None or self.right is None else (self.left, self.right)
