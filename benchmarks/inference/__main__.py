"""`python -m benchmarks.inference`: the table of all labelled pairs, the worst of several seeds each."""

from __future__ import annotations

import argparse
import sys

from kalla_chat.inference import Verdict

from benchmarks.inference import amounts, further, keyed, without
from benchmarks.inference.data import Case
from benchmarks.inference.score import Score, score

CASES: tuple[Case, ...] = (*keyed.CASES, *amounts.CASES, *without.CASES, *further.CASES)
AIM = 0.98


def main() -> int:
    """Print the table; 1 if a figure misses the aim."""
    asked = _arguments()
    chosen = [case for case in CASES if not asked.only or case.name in asked.only]
    print("| sources | what is in them | rows | verdict | precision | recall | F1 | seconds | CPU seconds |")
    print("|---|---|---:|---|---:|---:|---:|---:|---:|")
    missed = 0
    for case in chosen:
        for rows in asked.rows:
            scores = [score(case, rows, seed) for seed in range(1, asked.seeds + 1)]
            worst = min(scores, key=lambda s: s.f1)
            missed += sum(s.f1 < AIM for s in scores)
            print(_line(worst, scores), flush=True)
            if asked.verbose:
                _explain(worst)
    return 1 if missed else 0


def _line(worst: Score, scores: list[Score]) -> str:
    verdict = "recipe" if worst.verdict is Verdict.READY else "no reliable rule"
    figures = f"{worst.precision:.4f} | {worst.recall:.4f} | {worst.f1:.4f}"
    if not worst.case.usable:
        figures = f"- | - | {'right' if worst.f1 else 'WRONG'}"
    return (
        f"| {worst.case.name} | {worst.case.what} | {worst.rows[0]:,} x {worst.rows[1]:,} | {verdict} | "
        f"{figures} | {max(s.seconds for s in scores):.1f} | {max(s.cpu_seconds for s in scores):.1f} |"
    )


def _explain(one: Score) -> None:
    print(one.answer.reason)
    if one.answer.recipe is not None:
        print(one.answer.recipe.match_sql)
    for candidate in one.answer.candidates:
        print(
            "   ", candidate.matched_left, candidate.matched_right, candidate.text, "|", candidate.objection
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 2_000, 20_000])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
