r"""Characters whose capital and small forms are the same in both engines, and patterns that mean the same.

Letters outside are those of which the engines follow different editions of Unicode or different rules
(the Turkish i, the final sigma, the digraphs), and marks that combine with the character before them.
"""

from __future__ import annotations

import re
from typing import Final

_CLASS: Final = (
    # ASCII; Latin-1 without the soft hyphen and the micro sign; Latin Extended-A without the i with two
    # forms, the n after an apostrophe and the long s
    r"\x{00}-\x{7F}\x{A0}-\x{AC}\x{AE}-\x{B4}\x{B6}-\x{12F}\x{132}-\x{148}\x{14A}-\x{17E}"
    # Greek without sigma, whose small form depends on its place; Cyrillic; punctuation and currencies; kana
    # and Chinese characters
    r"\x{391}-\x{3A1}\x{3A4}-\x{3A9}\x{3B1}-\x{3C1}\x{3C4}-\x{3C9}\x{400}-\x{45F}"
    r"\x{2010}-\x{2027}\x{2030}-\x{205E}\x{20A0}-\x{20BF}"
    r"\x{3041}-\x{3096}\x{30A1}-\x{30FA}\x{4E00}-\x{9FFF}"
)
PLAIN: Final = f"[{_CLASS}]*"
"""A pattern, for DuckDB, of texts in which every character is one of these."""

_PLAIN_HERE: Final = re.compile(
    re.sub(r"\\x\{([0-9A-F]+)\}", lambda code: f"\\U{int(code[1], 16):08x}", PLAIN)
)

_REGEXP: Final = re.compile(
    r"""
    \^? (?: (?: [A-Za-z0-9À-ÖØ-öø-ÿ\ _/,:;@#%&=!"'<>~-]   # a character that stands for itself
        | \\[.()\[\]*+?{}^$|\\/-]                            # one that would mean something else
        | \[ \^? (?: [A-Za-z0-9]-[A-Za-z0-9] | [A-Za-z0-9\ _/.,:;@#-] )+ \]
        | \) ) (?: [*+?] | \{\d{1,2}(?:,\d{0,2})?\} )?
        | \( (?:\?:|(?!\?)) | \| )* \$?
    """,
    re.VERBOSE,
)


def is_plain(text: str) -> bool:
    """Whether every character of a text is one that both engines treat alike."""
    return _PLAIN_HERE.fullmatch(text) is not None


def same_pattern(pattern: str) -> bool:
    """Whether a regular expression certainly means the same to both engines."""
    return _REGEXP.fullmatch(pattern) is not None
