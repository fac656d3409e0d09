"""From two sources to drafts, best first; no draft has been run yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from kalla_common.errors import Code, KallaError

from kalla_chat.inference.answer import DraftRecipe, Rule, Shape, SourceProfile
from kalla_chat.inference.columns import Side, read_side
from kalla_chat.inference.discover import Found, discover
from kalla_chat.inference.evidence import Sides, is_telling
from kalla_chat.inference.hypothesis import Hypothesis
from kalla_chat.inference.judge import judge
from kalla_chat.inference.keyed import Workbench, build
from kalla_chat.inference.links import Link, Pairs, join
from kalla_chat.inference.near import build_near
from kalla_chat.inference.profiles import describe
from kalla_chat.inference.refine import options
from kalla_chat.inference.request import MAX_ROWS, Example, Request
from kalla_chat.inference.sql import Written, write

_SEEDS: Final = 12
_NEAR_SEEDS: Final = 4
_LEAST: Final = 0.05
"""Share of the rows of a side that a key must join to be looked at."""
_SEVERAL: Final = 0.05
_COUNTER: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """What was found without running anything: profiles, and rules, the reliable ones and the best first."""

    sides: Sides
    left: SourceProfile
    right: SourceProfile
    hypotheses: tuple[Hypothesis, ...]

    @property
    def keys(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Both primary keys."""
        return self.left.primary_key, self.right.primary_key

    def written(self, made: Hypothesis) -> Written:
        """A rule as SQL and words."""
        return write(made, self.sides.left, self.sides.right, self.keys)


def find_drafts(request: Request) -> Drafts:
    """Find the rules that could link two sources.

    Raises:
        KallaError: INVALID_REQUEST.
    """
    _check(request)
    whole = Sides(read_side(request.left), read_side(request.right))
    profiles = (describe(whole.left), describe(whole.right))
    hints = request.hints
    sides = Sides(_without(whole.left, hints.ignored_left), _without(whole.right, hints.ignored_right))
    found = discover(sides.left, sides.right)
    parts = tuple(options(sides, found))
    telling = tuple(part.link for part in parts if is_telling(part.link))
    bench = Workbench(sides, parts, telling, pairs_of(request.confirmed), pairs_of(request.rejected), hints)
    made = [judge(bench, rule) for rule in _rules(bench, found)]
    ranked = sorted(_different(made), key=_order)
    return Drafts(whole, *profiles, tuple(ranked))


def _check(request: Request) -> None:
    for source in (request.left, request.right):
        if source.rows.num_rows > MAX_ROWS:
            raise KallaError(
                Code.INVALID_REQUEST,
                f"Inference looks at {MAX_ROWS:,} rows of {source.alias} at most: narrow it by a filter.",
            )
    for example in (*request.confirmed, *request.rejected):
        for row, source in ((example.left_row, request.left), (example.right_row, request.right)):
            if not 0 <= row < source.rows.num_rows:
                raise KallaError(
                    Code.INVALID_REQUEST, f"An example names row {row}, which {source.alias} has not."
                )
    for names in request.hints.columns:
        for name, source in zip(names, (request.left, request.right), strict=True):
            if name not in source.rows.schema.names:
                raise KallaError(Code.INVALID_REQUEST, f"The source {source.alias} has no column {name}.")


def _without(side: Side, ignored: frozenset[str]) -> Side:
    return replace(side, columns=tuple(c for c in side.columns if c.name not in ignored))


def pairs_of(examples: Sequence[Example]) -> Pairs:
    """Examples as pairs of row numbers."""
    return Pairs(
        np.array([e.left_row for e in examples], np.int64),
        np.array([e.right_row for e in examples], np.int64),
    )


def _rules(bench: Workbench, found: Sequence[Found]) -> Iterator[Hypothesis]:
    wanted = _wanted(bench, found)
    if wanted:
        yield build(bench, wanted)
        return
    if bench.hints.columns:
        found = [f for f in found if f.link.names in bench.hints.columns]
    rows = (max(bench.sides.left.rows, 1), max(bench.sides.right.rows, 1))
    seeds = [f for f in found if max(f.counts.left / rows[0], f.counts.right / rows[1]) >= _LEAST]
    for seed in seeds[:_SEEDS]:
        yield build(bench, (seed.link,))
    near = [o for o in bench.options if o.link.kind == "amount"]
    if bench.hints.tolerance:
        return  # without a key, amounts are looked up by their value
    if bench.hints.columns:
        near = [o for o in near if o.link.names in bench.hints.columns]
    for seed in near[:_NEAR_SEEDS]:
        made = build_near(bench, seed)
        if made is not None:
            yield made


def _wanted(bench: Workbench, found: Sequence[Found]) -> list[Link]:
    """Equalities of the column pairs that the person named; amounts, and days in a window, are none."""
    links: list[Link] = []
    for names in bench.hints.columns:
        fitting = [f for f in found if f.link.names == names]
        same_day = [o for o in bench.options if o.link.kind == "day" and o.link.names == names]
        if fitting and not same_day:
            links.append(fitting[0].link)
        elif same_day and bench.hints.window_days is None:
            links.append(same_day[0].link)
    return links if any(link.kind == "text" for link in links) else []


def _different(made: Sequence[Hypothesis]) -> list[Hypothesis]:
    seen: dict[tuple[object, ...], Hypothesis] = {}
    for rule in made:
        label = tuple(sorted((link.kind, *link.names, link.negated) for link in rule.links))
        if label not in seen or _order(rule) < _order(seen[label]):
            seen[label] = rule
    return list(seen.values())


def _order(made: Hypothesis) -> tuple[object, ...]:
    names = tuple(link.names for link in made.links)
    return (bool(made.objection), -round(made.score, 6), len(made.links), names)


def shape_of(made: Hypothesis) -> Shape:
    """How many rows of each side belong together; a few that meet several do not make a shape."""
    if made.sums is not None:
        several = (made.sums.left_lists, made.sums.right_lists)
        left_many, right_many = several
    else:
        partners = [np.unique(side, return_counts=True)[1] for side in (made.pairs.left, made.pairs.right)]
        # A left row with several partners: the right side is many.
        right_many, left_many = (bool(len(p)) and float((p > 1).mean()) > _SEVERAL for p in partners)
    if left_many and right_many:
        return Shape.MANY_TO_MANY
    if right_many:
        return Shape.ONE_TO_MANY
    return Shape.MANY_TO_ONE if left_many else Shape.ONE_TO_ONE


def recipe_of(drafts: Drafts, made: Hypothesis) -> DraftRecipe:
    """The recipe that says this rule."""
    written = drafts.written(made)
    left, right = drafts.left.alias, drafts.right.alias
    conditions = [part.text for part in written.parts]
    listed = (
        conditions[0] if len(conditions) == 1 else ", and ".join(("; ".join(conditions[:-1]), conditions[-1]))
    )
    text = f"Matches {left} to {right} where {listed}."
    for side in (drafts.sides.left, drafts.sides.right):
        if side.source.filters:
            told = ", ".join(
                f"{f.column} {f.op.value} {', '.join(map(str, f.values))}" for f in side.source.filters
            )
            text += f" Only rows of {side.source.alias} with {told} are looked at."
    return DraftRecipe(written.sql, text, *drafts.keys, shape_of(made), made.sums is not None)


def rules_of(drafts: Drafts, made: Hypothesis) -> tuple[Rule, ...]:
    """Each condition with the pairs for which it holds, among those that the conditions before it left."""
    left = join(made.codes)
    rules: list[Rule] = []
    for part in drafts.written(made).parts:
        holds = made.conditions(left)[part.name]
        support, tested, chance = int(holds.sum()), len(left), None
        if made.amounts is not None and part.name in ("amounts", "sums"):
            chance = made.amounts.chance
        if made.sums is not None and part.name == "sums":
            support, tested = made.sums.fit.support, made.sums.fit.tested
        failing = left.where(~holds)
        counter = zip(failing.left[:_COUNTER].tolist(), failing.right[:_COUNTER].tolist(), strict=True)
        rules.append(
            Rule(part.text, part.sql, support, tested, chance, tuple(Example(*pair) for pair in counter))
        )
        left = left.where(holds)
    return tuple(rules)
