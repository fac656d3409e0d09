"""Yes, no, run, skip and other plain intents."""

from __future__ import annotations

import re
from typing import Final


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.VERBOSE)


YES: Final = _words(r"""
    ^\s*(?: y | yes | yep | yeah | sure | ok | okay | confirm(?:ed)? | accept(?:ed)? | agreed? | correct
      | fine | perfect | great | good | do\ it | please\ do | go(?:\ ahead|\ on)? | continue | next
      | (?:that\ |this\ )?(?:looks|is|seems)\ (?:good|right|fine|correct)
    )\b
""")
RUN: Final = _words(r"""
    \brun\ (?:it|this|that|the\ (?:recipe|full\ run|whole\ thing))\b
    | \brun\ on\ all(?:\ rows)?\b
    | \b(?:start|execute|launch)(?:\ (?:it|the\ run))?\s*[.!]?\s*$
    | ^\s*run\s*[.!]?\s*$
""")
NOT: Final = _words(r"""
    \b(?:do(?:n't|\ not)|never|not\ yet|cancel|stop|wait)\b
    | ^\s*(?:no|nope|nah|reject)\b
""")
SKIP: Final = _words(r"\b(?:skip|(?:no|without)\ examples)\b")
RESTART: Final = _words(r"\b(?:start\ (?:over|again)|restart|reset|begin\ again|from\ scratch)\b")
OTHER_SOURCE: Final = _words(r"""
    \b(?:(?:an?)?other|different|change(?:\ the)?|switch(?:\ the)?|wrong)\s+
    (?:(?P<side>left|right)\s+)?
    (?:sources?|tables?|files?)\b
""")
CHANGE_TOLERANCE: Final = _words(r"\b(?:change|other|different|set|adjust)\b.*\btoleran")
ALL_ROWS: Final = _words(r"""
    \b(?: (?:no|without)\ filters? | (?:remove|drop|clear)(?:\ the|\ all)?\ filters? | all\ rows
        | everything )\b
""")
MORE_EXAMPLES: Final = _words(r"\b(?:more|other|different|show)\b.*\b(?:examples|pairs)\b")
STATUS: Final = _words(r"^\s*(?:status|where\ are\ we|what\ now|what(?:'s|\ is)?\ next)\b")
HELP: Final = _words(r"^\s*(?:help|\?|hi|hello|hey)(?:\b|$)|\bwhat\ can\ you\ do\b")

_JUDGED: Final = _words(r"""
    (?P<numbers>\b\d+(?:\s*(?:,|and|&)\s*(?:pair\s+)?\d+)*)\s+
    (?:is\s+|are\s+|do\s+|does\s+)?
    (?P<word>not|wrong|no|bad|incorrect|false|right|correct|yes|ok|good|match(?:es)?|belong|true)\b
""")
_NEGATIVE: Final = frozenset(("not", "wrong", "no", "bad", "incorrect", "false"))
_ALL_RIGHT: Final = _words(r"""
    \b(?:all|both|every(?:thing|\ one)?|they(?:\ all)?)\b .{0,20}
    \b(?:right|correct|match|belong|good|fine|ok|yes)\b
    | \bconfirm\ all\b
""")
_ALL_WRONG: Final = _words(r"""
    \b(?:none|neither)\b.{0,20}\b(?:match|belong|right|correct|of)\b
    | \b(?:all|both|they)\b.{0,20}\b(?:wrong|incorrect|not)\b
    | ^\s*none\s*[.!]?\s*$
""")


def judged(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of pairs that a text calls right, and those that it calls wrong."""
    right: list[int] = []
    wrong: list[int] = []
    for match in _JUDGED.finditer(text):
        numbers = [int(number) for number in re.findall(r"\d+", match["numbers"])]
        (wrong if match["word"].lower() in _NEGATIVE else right).extend(numbers)
    return tuple(right), tuple(wrong)


def all_pairs(text: str) -> bool | None:
    """What a text says of all pairs; None if nothing."""
    if _ALL_WRONG.search(text):
        return False
    return True if _ALL_RIGHT.search(text) else None
