"""The second engine agrees with the match engine on random cases, and on most of them it can say so."""

from __future__ import annotations

import os

from tests.differential.witnessed import tally_of

CASES = 60
SEED = int(os.environ.get("KALLA_DIFFERENTIAL_SEED", "40480"))


def test_the_second_engine_agrees_on_random_cases() -> None:
    tally, reasons, defects = tally_of(range(SEED, SEED + CASES))
    print(f"seed {SEED}: {dict(tally)} {dict(reasons)}")  # noqa: T201 - says which cases these were
    assert not defects, "\n".join(defects[:3])
    # A witness that often has nothing to say would be of little use.
    assert tally["agreed"] >= CASES * 2 / 3
