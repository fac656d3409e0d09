"""Says whether a rule is reliable enough to be proposed, and which of two is better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from kalla_chat.inference.evidence import agreements, is_telling, named_alike, near_in_time, varies
from kalla_chat.inference.hypothesis import Hypothesis, excess
from kalla_chat.inference.keyed import Workbench
from kalla_chat.inference.links import Pairs, join
from kalla_chat.inference.views import DIGITS

_LEAST_PAIRS: Final = 5
"""Of a rule that nobody vouches for."""
_LEAST_SHARE: Final = 0.3
"""Share of the rows of one side that a rule must match."""
_PRECISE: Final = 0.95
_AMBIGUOUS: Final = 1.1
_CORROBORATED: Final = 0.4
_EXAMPLES: Final = 3
"""So many confirmed pairs that share a key are no accident."""
_UNSUPPORTED: Final = 0.8
"""What a rule counts that nothing but the key itself speaks for."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    reasons: tuple[str, ...]
    corroborated: bool


def judge(bench: Workbench, made: Hypothesis) -> Hypothesis:
    """Fill in reasons, objection and score."""
    if made.objection:
        return made
    near = made.links[0].kind == "amount"
    evidence = _evidence(bench, made) if not near else _near_evidence(made)
    objection = _objection(bench, made, evidence, near=near)
    left, right = made.matched
    share = (left + right) / max(bench.sides.left.rows + bench.sides.right.rows, 1)
    weight = 1.0 if evidence.corroborated else _UNSUPPORTED
    rank = max(link.rank for link in made.links)
    score = share * made.precision * weight / max(excess(made.pairs), 1.0) - 0.0005 * rank
    return replace(made, reasons=evidence.reasons, objection=objection, score=score * (0.97 if near else 1.0))


def _evidence(bench: Workbench, made: Hypothesis) -> _Evidence:
    reasons: list[str] = []
    telling = any(is_telling(link) for link in made.links)
    if made.amounts is not None:
        what = "sums" if made.sums is not None else "amounts"
        reasons.append(
            f"{what} agree for {made.amounts.support:,} of {made.amounts.tested:,}"
            f" (by chance {made.amounts.chance:.1%})"
        )
    keyed = join(made.codes)
    others = max(agreements(keyed, bench.telling, made.links), default=0.0)
    if others >= _CORROBORATED:
        reasons.append("other columns of the pairs hold the same values")
    days = near_in_time(bench.sides, keyed) if telling else 0.0
    if days >= _CORROBORATED:
        reasons.append("the pairs lie close together in time")
    examples = _supporting(bench, made)
    if examples >= _EXAMPLES:
        reasons.append(f"{examples} confirmed pairs share the key")
    corroborated = bool(reasons)
    if telling:
        reasons.append("the key's values are no accident")
    if named_alike(made.links[0]):
        reasons.append("both columns have the same name")
    return _Evidence(tuple(reasons), corroborated)


def _supporting(bench: Workbench, made: Hypothesis) -> int:
    if not len(bench.confirmed):
        return 0
    one, two = made.codes[0][bench.confirmed.left], made.codes[1][bench.confirmed.right]
    return int(((one == two) & (one >= 0)).sum())


def _near_evidence(made: Hypothesis) -> _Evidence:
    reasons: list[str] = []
    if made.window is not None:
        window = made.window
        reasons.append(
            f"about {window.chance_pairs:,.0f} of {window.support:,} pairs in the window are accidents"
        )
    if made.likeness is not None:
        reasons.append("the texts of the pairs are alike")
    return _Evidence(tuple(reasons), corroborated=True)


def _objection(bench: Workbench, made: Hypothesis, evidence: _Evidence, *, near: bool) -> str:
    for names in bench.hints.columns:
        if names not in made.compared:
            return f"it does not compare {names[0]} with {names[1]}, as was asked for"
    asked = _is_asked_for(bench, made)
    vouched = asked or _supporting(bench, made) >= _EXAMPLES
    if len(made.pairs) < (1 if vouched else _LEAST_PAIRS):
        return f"it matches only {len(made.pairs)} pairs"
    shares = _shares(bench, made)
    if max(shares) < _LEAST_SHARE and not asked:
        return f"it matches only {shares[0]:.0%} of the left and {shares[1]:.0%} of the right rows"
    if near and made.window is None and made.likeness is None and len(made.links) == 1:
        return "equal amounts alone do not tell which rows belong together"
    if made.precision < _PRECISE:
        return f"about {1 - made.precision:.0%} of its pairs would be accidents"
    if made.sums is None and excess(made.pairs) > _AMBIGUOUS:
        return "several rows of each side share its values, and nothing tells which of them belong together"
    if not near and not evidence.corroborated and not asked:
        weak = _weak_key(bench, made)
        if weak:
            return weak
    return _against_examples(bench, made)


def _is_asked_for(bench: Workbench, made: Hypothesis) -> bool:
    """Whether the person named all columns of the key: then few rows, or weak ones, are no objection."""
    asked = bench.hints.columns
    return bool(asked) and all(link.names in asked for link in made.links)


def _shares(bench: Workbench, made: Hypothesis) -> tuple[float, float]:
    """Matched share of each side; of a sample, of what the other sample could have matched."""
    left, right = made.matched
    seen = [
        side.rows / max(side.source.total_rows, side.rows, 1)
        for side in (bench.sides.left, bench.sides.right)
    ]
    return (
        min(1.0, left / max(bench.sides.left.rows, 1) / max(seen[1], 1e-9)),
        min(1.0, right / max(bench.sides.right.rows, 1) / max(seen[0], 1e-9)),
    )


def _weak_key(bench: Workbench, made: Hypothesis) -> str:
    """Why equal values of a key that nothing else speaks for may be an accident; empty if they are none."""
    first = made.links[0]
    telling = any(is_telling(link) for link in made.links)
    comparable = all(
        any(c.amounts is not None and varies(c) for c in side.columns)
        for side in (bench.sides.left, bench.sides.right)
    )
    if telling and first.rank < DIGITS.rank:
        return ""
    if named_alike(first) and first.rank < DIGITS.rank and not comparable:
        return ""
    return "running numbers are equal by accident, and no other column of these pairs agrees"


def _against_examples(bench: Workbench, made: Hypothesis) -> str:
    for pairs, wrong in ((bench.confirmed, False), (bench.rejected, True)):
        if len(pairs):
            followed = made.matches(pairs) != wrong
            if float(followed.mean()) < 0.5 and len(pairs) >= 2:  # noqa: PLR2004  # one may be a slip
                kind = "rejected" if wrong else "confirmed"
                return f"{int((~followed).sum())} of {len(pairs)} {kind} pairs contradict it"
    return ""


def contradictions(pairs: Pairs, made: Hypothesis, *, confirmed: bool) -> list[int]:
    """Numbers of the examples that the rule does not follow."""
    return np.flatnonzero(made.matches(pairs) != confirmed).tolist() if len(pairs) else []
