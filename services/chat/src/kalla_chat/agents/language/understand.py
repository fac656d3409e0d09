"""All that a text asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from kalla_chat.agents.language import intents
from kalla_chat.agents.language.amounts import days, tolerance
from kalla_chat.agents.language.columns import matched_names, named_columns, named_sources
from kalla_chat.agents.language.narrowings import Narrowing, narrowings


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text asks for.

    Attributes:
        aliases: sources it names, in their order in the text.
        matched: the names in "match X to Y", be they sources or columns.
        words: columns it names, as pairs; the second is None where one word stands for both sides.
        tolerance: largest difference of amounts.
        window_days: earliest and latest day of the right date after the left one.
        narrowings: rows that it wants alone.
        confirmed, rejected: numbers of pairs.
        all_pairs: what it says of all pairs.
        agrees, refuses, runs, skips, restarts, help_wanted, status, more_examples, all_rows: plain intents.
        asks_tolerance: it wants another tolerance, and does not say which.
        other_source: it wants another source; `side` which one, "" for both.
    """

    aliases: tuple[str, ...] = ()
    matched: tuple[str, str] | None = None
    words: tuple[tuple[str, str | None], ...] = ()
    tolerance: Decimal | None = None
    window_days: tuple[int, int] | None = None
    narrowings: tuple[Narrowing, ...] = ()
    confirmed: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()
    all_pairs: bool | None = None
    agrees: bool = False
    refuses: bool = False
    runs: bool = False
    skips: bool = False
    restarts: bool = False
    help_wanted: bool = False
    status: bool = False
    more_examples: bool = False
    all_rows: bool = False
    asks_tolerance: bool = False
    other_source: bool = False
    side: str = ""

    @property
    def consents(self) -> bool:
        """Whether the person said yes, or told to run."""
        return (self.agrees or self.runs) and not self.refuses


def understand(text: str, aliases: Sequence[str]) -> Reading:
    """Read a person's message.

    Args:
        text: as it was typed.
        aliases: of the registered sources.
    """
    named, without_sources = named_sources(text, aliases)
    window, without_days = days(without_sources)
    words = named_columns(without_sources)
    allowed = tolerance(without_days)
    other = intents.OTHER_SOURCE.search(text)
    confirmed, rejected = intents.judged(text)
    restarts = bool(intents.RESTART.search(text))
    known = frozenset(word for pair in words for word in pair if word)
    return Reading(
        aliases=named,
        matched=matched_names(text),
        words=words,
        tolerance=allowed,
        window_days=window,
        narrowings=narrowings(without_days, known),
        confirmed=confirmed,
        rejected=rejected,
        all_pairs=None if confirmed or rejected else intents.all_pairs(text),
        agrees=bool(intents.YES.match(text)),
        refuses=bool(intents.NOT.search(text)),
        runs=bool(intents.RUN.search(text)) and not restarts,
        skips=bool(intents.SKIP.search(text)),
        restarts=restarts,
        status=bool(intents.STATUS.search(text)),
        help_wanted=bool(intents.HELP.search(text)),
        more_examples=bool(intents.MORE_EXAMPLES.search(text)),
        all_rows=bool(intents.ALL_ROWS.search(text)),
        asks_tolerance=allowed is None and bool(intents.CHANGE_TOLERANCE.search(text)),
        other_source=other is not None,
        side=(other["side"] or "").lower() if other else "",
    )
