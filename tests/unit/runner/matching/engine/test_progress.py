"""Progress never goes back and does not flood its receiver."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kalla_runner.matching.progress import Ticker


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 100)), max_size=30))
def test_reports_are_monotonic(ticks: list[tuple[float, int]]) -> None:
    seen: list[tuple[float, int]] = []
    ticker = Ticker(lambda fraction, matched: seen.append((fraction, matched)))
    for fraction, matched in ticks:
        ticker.tick(fraction, matched, last=True)
    assert [f for f, _ in seen] == sorted(f for f, _ in seen)
    assert [m for _, m in seen] == sorted(m for _, m in seen)


def test_a_burst_gives_one_report_and_the_last_one_always_comes() -> None:
    seen: list[float] = []
    ticker = Ticker(lambda fraction, _: seen.append(fraction))
    for step in range(1000):
        ticker.tick(step / 1000)
    ticker.tick(1.0, last=True)
    assert seen[-1] == 1.0
    # The burst itself takes far less than the tenth of a second between two reports.
    assert len(seen) <= 3
