"""Plain requests, read by rules: what is asked for, never what it might have meant.

    "match invoices to payments on reference and amount within 2 cents, only USD"

Whatever is not understood stays out of the reading, and the guided agent asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from kalla_chat.conversation.phases import PhaseName

_NUMBERS: Final = {
    "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "fourteen": 14, "thirty": 30,
}  # fmt: skip
_NUMBER: Final = r"(?:\d[\d.,']*\d|\d|" + "|".join(_NUMBERS) + ")"
_CENTS: Final = r"(?:cents?|pence|pennies|penny|ct)"
_MONEY: Final = r"(?:dollars?|euros?|pounds?|francs?|usd|eur|gbp|chf)"
_QUOTED: Final = r"'[^']*'|\"[^\"]*\"|`[^`]*`"
_VALUE: Final = rf"(?:{_QUOTED}|[\w.:/@+-]+)"

_YES: Final = re.compile(
    r"^\s*(?:y|yes|yep|yeah|sure|ok|okay|confirm(?:ed)?|accept(?:ed)?|agreed?|correct|fine|perfect|great|"
    r"(?:that |this )?(?:looks|is|seems) (?:good|right|fine|correct)|good|do it|please do|go(?: ahead| on)?|continue|next)"
    r"\b[\s,!.]*",
    re.IGNORECASE,
)
_RUN: Final = re.compile(
    r"\b(?:run (?:it|this|that|the (?:recipe|full run|whole thing))|(?:start|execute|launch)(?: (?:it|the run))?|"
    r"run on all(?: rows)?)\b|^\s*run\s*[.!]?\s*$",
    re.IGNORECASE,
)
_NOT: Final = re.compile(
    r"\b(?:do(?:n't| not)|never|not yet|cancel|stop|wait)\b|^\s*(?:no|nope|nah|reject)\b", re.IGNORECASE
)
_SKIP: Final = re.compile(r"\b(?:skip|no examples|without examples)\b", re.IGNORECASE)
_RESTART: Final = re.compile(
    r"\b(?:start over|start again|restart|reset|begin again|from scratch)\b", re.IGNORECASE
)
_OTHER_SOURCE: Final = re.compile(
    r"\b(?:(?:an?)?other|different|change(?: the)?|switch(?: the)?|wrong)\s+(?:(left|right)\s+)?(?:sources?|tables?|files?)\b",
    re.IGNORECASE,
)
_CHANGE_TOLERANCE: Final = re.compile(r"\b(?:change|other|different|set|adjust)\b.*\btoleran", re.IGNORECASE)
_NO_FILTERS: Final = re.compile(
    r"\b(?:no filters?|without filters?|(?:remove|drop|clear)(?: the| all)? filters?|all rows|everything)\b",
    re.IGNORECASE,
)
_MORE_EXAMPLES: Final = re.compile(
    r"\b(?:more|other|different|show)\b.*\b(?:examples|pairs)\b", re.IGNORECASE
)
_HELP: Final = re.compile(r"^\s*(?:help|\?|hi|hello|hey)\b|\bwhat can you do\b", re.IGNORECASE)
_EXACT: Final = re.compile(
    r"\b(?:no|zero|without(?: any)?)\s+tolerance\b|\b(?:exact(?:ly)?(?: the same| equal)?|same|equal)\s+amounts?\b|"
    r"\bamounts?\s+(?:must\s+)?(?:be\s+)?(?:exact(?:ly)?(?: equal)?|equal|identical)\b",
    re.IGNORECASE,
)
_TOLERANCE: Final = re.compile(
    rf"(?:\bwithin|\btolerance(?:\s+(?:of|to|is|be|at))*|\bup to|\bby at most|\bat most|\boff by|±|\+/-|\bdiffer(?:ence)?s?"
    rf"(?:\s+(?:by|of|up to|at most))*)\s*[:=]?\s*(?P<sign>[$€£])?\s*(?P<number>{_NUMBER})(?![\w.]*%)\s*(?P<unit>{_CENTS}|{_MONEY})?\b",
    re.IGNORECASE,
)
_DAYS: Final = re.compile(
    rf"(?P<head>within|up to|at most|±|\+/-|window of|no more than)\s*(?P<number>{_NUMBER})\s*(?:calendar\s+)?days?"
    r"(?:\s+(?P<tail>after|later|before|earlier))?",
    re.IGNORECASE,
)
_SAME_DAY: Final = re.compile(r"\bsame (?:day|date)\b", re.IGNORECASE)
_ON: Final = re.compile(
    r"\b(?:on|by|using|via|key(?:s|ed)?(?: is| are| on| by)?)\s+(?P<what>.+?)(?=\s*(?:\bwithin\b|\bwith\b|\bonly\b|\bwhere\b|"
    r"\btolerance\b|\bfor\b|\bif\b|\bsince\b|\bafter\b|\bbefore\b|\bbut\b|\bexclud|\bignor|\bup to\b|±|[;:.!?](?:\s|$)|$))",
    re.IGNORECASE,
)
_EQUALS: Final = re.compile(
    r"([\w.`\"']+)\s*(?:==?|\bequals\b|\bto\b|\bwith\b|\bmatches\b)\s*([\w.`\"']+)", re.IGNORECASE
)
_JUDGED: Final = re.compile(
    r"(?P<numbers>(?:pairs?\s+)?\d+(?:\s*(?:,|and|&)\s*(?:pair\s+)?\d+)*)\s+(?:is|are|do|does)?\s*"
    r"(?P<word>not|n't|wrong|no|bad|incorrect|right|correct|yes|ok|good|match(?:es)?|belong|true|false)",
    re.IGNORECASE,
)
_NEGATIVE: Final = ("not", "n't", "wrong", "no", "bad", "incorrect", "false")
_ALL_RIGHT: Final = re.compile(
    r"\b(?:all|both|every(?:thing| one)?|they(?: all)?)\b.{0,20}\b(?:right|correct|match|belong|good|fine|ok|yes)\b|"
    r"\bconfirm all\b",
    re.IGNORECASE,
)
_ALL_WRONG: Final = re.compile(
    r"\b(?:none|all|both|neither)\b.{0,20}\b(?:wrong|incorrect|not|match|belong|right|correct)\b",
    re.IGNORECASE,
)
_CONDITION: Final = re.compile(
    rf"(?P<column>{_QUOTED}|[\w.]+)\s*(?P<op><=|>=|<>|!=|==?|<|>|\bis not\b|\bisn't\b|\bnot equal to\b|\bequals\b|\bis\b|"
    rf"\bover\b|\babove\b|\bmore than\b|\bgreater than\b|\bat least\b|\bunder\b|\bbelow\b|\bless than\b|\bat most\b|"
    rf"\bsince\b|\bfrom\b|\bafter\b|\bbefore\b|\buntil\b|\bin\b|\blike\b)\s*(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_OPERATORS: Final = {
    "=": "eq", "==": "eq", "is": "eq", "equals": "eq", "in": "eq",
    "!=": "neq", "<>": "neq", "is not": "neq", "isn't": "neq", "not equal to": "neq",
    ">": "gt", "over": "gt", "above": "gt", "more than": "gt", "greater than": "gt", "after": "gt",
    ">=": "gte", "at least": "gte", "since": "gte", "from": "gte",
    "<": "lt", "under": "lt", "below": "lt", "less than": "lt", "before": "lt",
    "<=": "lte", "at most": "lte", "until": "lte", "like": "like",
}  # fmt: skip
_ONLY: Final = re.compile(rf"\b(?:only|just)\s+(?:the\s+|those\s+)?(?P<value>{_VALUE})", re.IGNORECASE)
_EXCLUDE: Final = re.compile(
    rf"\b(?:exclud(?:e|ing)|without|except|ignor(?:e|ing)|no)\s+(?:the\s+)?(?P<value>{_VALUE})", re.IGNORECASE
)
_DATE: Final = re.compile(
    r"\b(?P<op>since|from|after|before|until)\s+(?P<value>\d{4}-\d{2}-\d{2})\b", re.IGNORECASE
)
_NO_VALUES: Final = frozenset(
    ["rows", "where", "with", "if", "the", "those", "amounts", "amount", "tolerance", "examples", "filter", "filters", "source", "sources", "match", "matching", "a", "an", "in", "on", "by", "for", "and", "or", "duplicates"]
)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Fewer rows: `column` in the person's words, "" where only the value was named."""

    column: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text asks for.

    Attributes:
        aliases: sources it names, in their order in the text.
        words: columns it names, as pairs; the second is None where one word stands for both sides.
        tolerance: largest difference of amounts.
        window_days: earliest and latest day of the right date after the left one.
        narrowings: rows that it wants alone.
        confirmed, rejected: numbers of pairs.
        all_pairs: what it says of all pairs.
        agrees, refuses, runs, skips, restarts, help_wanted, more_examples, all_rows: plain intents.
        back_to: the phase it wants to return to; `side` which source it wants another of.
    """

    aliases: tuple[str, ...] = ()
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
    more_examples: bool = False
    all_rows: bool = False
    asks_tolerance: bool = False
    back_to: PhaseName | None = None
    side: str = ""
    about: tuple[str, ...] = field(default=())

    @property
    def consents(self) -> bool:
        """Whether the person said yes, or told to run."""
        return (self.agrees or self.runs) and not self.refuses

    @property
    def empty(self) -> bool:
        """Whether nothing was understood."""
        return self == Reading()


def understand(text: str, aliases: Sequence[str]) -> Reading:
    """Read a person's message.

    Args:
        text: as it was typed.
        aliases: of the registered sources.
    """
    rest = text.strip()
    named, without_aliases = _aliases(rest, aliases)
    other = _OTHER_SOURCE.search(rest)
    window, without_days = _window(without_aliases)
    tolerance = _tolerance(without_days)
    words = _words(without_aliases)
    judged = _judged(rest)
    back = None
    if _RESTART.search(rest):
        back = PhaseName.INITIAL
    elif other:
        back = PhaseName.SOURCE_SELECTION
    return Reading(
        aliases=named,
        words=words,
        tolerance=tolerance,
        window_days=window,
        narrowings=_narrowings(without_days, words),
        confirmed=judged[0],
        rejected=judged[1],
        all_pairs=_all_pairs(rest) if not any(judged) else None,
        agrees=bool(_YES.match(rest)),
        refuses=bool(_NOT.search(rest)),
        runs=bool(_RUN.search(rest)) and not _RESTART.search(rest),
        skips=bool(_SKIP.search(rest)),
        restarts=bool(_RESTART.search(rest)),
        help_wanted=bool(_HELP.search(rest)),
        more_examples=bool(_MORE_EXAMPLES.search(rest)),
        all_rows=bool(_NO_FILTERS.search(rest)),
        asks_tolerance=bool(_CHANGE_TOLERANCE.search(rest)) and tolerance is None,
        back_to=back,
        side=(other.group(1) or "").lower() if other else "",
    )


def read_number(text: str) -> Decimal | None:
    """A number as people write it: 0.02, 0,02, 1,000.50, two; None for anything else."""
    word = text.strip().lower().replace("'", "")
    if word in _NUMBERS:
        return Decimal(_NUMBERS[word])
    if re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", word):
        return Decimal(word.replace(",", ""))
    if re.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+,\d+", word):
        return Decimal(word.replace(".", "").replace(",", "."))
    if re.fullmatch(r"\d+(?:[.,]\d+)?", word):
        return Decimal(word.replace(",", "."))
    return None


def resolve_column(word: str, names: Iterable[str]) -> str | None:
    """The one column that a word names; None if there is none, or more than one fits equally well."""
    wanted = _bare(word)
    folded = {name: _bare(name) for name in names}
    for fits in (
        [n for n, f in folded.items() if f == wanted],
        [n for n, f in folded.items() if f.rstrip("s") == wanted.rstrip("s")],
        [n for n, f in folded.items() if wanted in _parts(n) or wanted.rstrip("s") in _parts(n)],
        [n for n, f in folded.items() if len(wanted) > 3 and (wanted in f or (len(f) > 3 and f in wanted))],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            return None
    return None


def unquoted(value: str) -> str:
    """A value without the quotes it was written in."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`" else value


def _bare(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unquoted(word).rpartition(".")[2].lower())


def _parts(name: str) -> list[str]:
    return re.findall(r"[A-Z]?[a-z]+|[0-9]+|[A-Z]+", name.replace("_", " ")) and [
        part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[0-9]+|[A-Z]+(?![a-z])", name)
    ]


def _aliases(text: str, aliases: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The sources that a text names, and the text without them."""
    found: list[tuple[int, str]] = []
    rest = text
    for alias in sorted(aliases, key=lambda a: (-len(a), a)):
        words = re.escape(alias).replace("_", r"[_\s-]").replace(r"\-", r"[_\s-]")
        singular = rf"(?:{words}|{words[:-1]})" if alias.endswith("s") and len(alias) > 3 else rf"{words}s?"
        # A name after a dot is a column's.
        match = re.search(rf"(?<![\w.]){singular}(?![\w]|\.\w)", rest, re.IGNORECASE)
        if match:
            found.append((match.start(), alias))
            rest = rest[: match.start()] + " " * len(match[0]) + rest[match.end() :]
    return tuple(alias for _, alias in sorted(found)), rest


def _window(text: str) -> tuple[tuple[int, int] | None, str]:
    """The days that a text allows, and the text without them."""
    match = _DAYS.search(text)
    if match:
        number = read_number(match["number"])
        if number is not None and number == number.to_integral_value():
            days = int(number)
            tail = (match["tail"] or "").lower()
            window = (-days, days)
            if tail in ("after", "later"):
                window = (0, days)
            elif tail in ("before", "earlier"):
                window = (-days, 0)
            return window, text[: match.start()] + " " + text[match.end() :]
    if _SAME_DAY.search(text):
        return (0, 0), _SAME_DAY.sub(" ", text)
    return None, text


def _tolerance(text: str) -> Decimal | None:
    match = _TOLERANCE.search(text)
    if match:
        number = read_number(match["number"].rstrip(".,"))
        if number is not None:
            return number / 100 if re.fullmatch(_CENTS, match["unit"] or "", re.IGNORECASE) else number
    return Decimal(0) if _EXACT.search(text) else None


def _words(text: str) -> tuple[tuple[str, str | None], ...]:
    """The columns after "on"; names of amounts and dates are named there as well."""
    match = _ON.search(text)
    if not match:
        return ()
    found: list[tuple[str, str | None]] = []
    for part in re.split(r",|\band\b|&|\bplus\b", match["what"]):
        piece = re.sub(r"^\s*(?:the|their|its|same|both)\s+", "", part.strip(), flags=re.IGNORECASE)
        pair = _EQUALS.fullmatch(piece)
        if pair:
            found.append((unquoted(pair[1]), unquoted(pair[2])))
        elif piece and len(piece.split()) <= 3:
            found.append((unquoted(re.sub(r"\s+", "_", piece)), None))
    return tuple(found)


def _narrowings(text: str, words: tuple[tuple[str, str | None], ...]) -> tuple[Narrowing, ...]:
    named = {word for pair in words for word in pair if word}
    found: list[Narrowing] = []
    rest = text
    for match in _DATE.finditer(rest):
        found.append(Narrowing("", _OPERATORS[match["op"].lower()], match["value"]))
    rest = _DATE.sub(" ", rest)
    for match in _CONDITION.finditer(rest):
        column, value = unquoted(match["column"]), unquoted(match["value"])
        op = _OPERATORS[re.sub(r"\s+", " ", match["op"].lower())]
        if column.lower() in _NO_VALUES or (column in named and value in named):
            continue
        found.append(Narrowing(column, op, value))
    rest = _CONDITION.sub(" ", rest)
    for pattern, op in ((_ONLY, "eq"), (_EXCLUDE, "neq")):
        for match in pattern.finditer(rest):
            value = unquoted(match["value"].rstrip(".,"))
            if value.lower() not in _NO_VALUES:
                found.append(Narrowing("", op, value))
    return tuple(dict.fromkeys(found))


def _judged(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    right: list[int] = []
    wrong: list[int] = []
    for match in _JUDGED.finditer(text):
        numbers = [int(n) for n in re.findall(r"\d+", match["numbers"])]
        (wrong if match["word"].lower() in _NEGATIVE else right).extend(numbers)
    return tuple(right), tuple(wrong)


def _all_pairs(text: str) -> bool | None:
    if re.search(r"\b(?:none|neither)\b", text, re.IGNORECASE) and _ALL_WRONG.search(text):
        return False
    if re.search(r"\b(?:all|both)\b.{0,20}\b(?:wrong|incorrect)\b", text, re.IGNORECASE):
        return False
    return True if _ALL_RIGHT.search(text) else None
