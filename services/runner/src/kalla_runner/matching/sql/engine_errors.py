"""The engine's planning errors as one plain sentence each."""

from __future__ import annotations

import re
from typing import Final

CANNOT_PLAN: Final = "The query cannot be planned:"
_PREFIX: Final = re.compile(
    r"^(DataFusion error: |Error during planning: |Schema error: |This feature is not implemented: |"
    r"Internal error: |Arrow error: |SQL error: |Execution error: |type_coercion\s+caused by\s+|"
    r"Optimizer rule '\w+' failed\s+caused by\s+|ParserError\(\"|Invalid argument error: |Compute error: )+"
)

_KNOWN: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"Invalid function '([^']+)'"), "There is no function {0}."),
    (
        re.compile(r"logical expression ScalarSubquery|Correlated scalar subquery can only be used"),
        (
            "A subquery that looks at the row around it may stand in SELECT or WHERE and compare with = "
            "only: write a CTE with GROUP BY in its place, and join that."
        ),
    ),
    (
        re.compile(r"Cannot coerce arithmetic expression (?:Large)?Utf8(?:View)? \+ (?:Large)?Utf8"),
        "Texts are joined by ||: write a || b in place of a + b.",
    ),
    (
        re.compile(
            r"Cannot (?:coerce arithmetic expression|infer common argument type for \w+ operation) "
            r"([^\n]+?)(?: to valid types)?$",
            re.MULTILINE,
        ),
        CANNOT_PLAN + " {0} is not an operation; cast one side to the type of the other.",
    ),
    (
        re.compile(r"Unsupported CAST from (.+) to (.+?)$", re.MULTILINE),
        CANNOT_PLAN + " {0} cannot be cast to {1}.",
    ),
    (
        re.compile(r"Divide by zero", re.IGNORECASE),
        "match_sql divides by zero; write NULLIF(divisor, 0).",
    ),
    (
        re.compile(r"Unsupported interval argument"),
        "Put brackets around an interval that more arithmetic follows: (day + INTERVAL '1 year') + 7.",
    ),
    (
        re.compile(r"^SanityCheckPlan"),
        (
            "The engine cannot plan a window over a logarithm or a square root: compute it in a CTE, "
            "and name that column in OVER."
        ),
    ),
    (
        re.compile(r"Conflicting ordering requirements in aggregate functions"),
        (
            "Aggregates of one SELECT ask for different orders, which the engine cannot give: write each in "
            "a CTE of its own."
        ),
    ),
    (
        re.compile(r"Aggregate ORDER BY is not implemented for window functions"),
        "ORDER BY in the brackets of an aggregate is not available with OVER: write it in OVER.",
    ),
    (
        re.compile(r"field nullability at index"),
        (
            "The engine contradicts itself about NULLs in what comes twice: write coalesce(x, false) "
            "for x IS TRUE, or compute it at the source."
        ),
    ),
    (
        re.compile(r"Projections require unique expression names .*? \"([^\"]+)\" at position"),
        "Two output columns are the same or have one name ({0}): name them apart with AS.",
    ),
    (
        re.compile(r"Column in SELECT must be in GROUP BY or an aggregate function: .*?column \"([^\"]+)\""),
        "{0} is neither grouped nor aggregated: add it to GROUP BY or aggregate it.",
    ),
)


_VALUES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(r"'(?P<value>[^\n]*?) \(not of the form (?P<form>[^\n]*?)\)'"),
        "'{value}' is not of the form {form}",
    ),
    (
        re.compile(r"'\(has a time zone\) (?P<value>[^\n']*)'"),
        "'{value}' has a time zone, which a type without one would drop: cast it to TIMESTAMP WITH TIME ZONE",
    ),
    (
        re.compile(r"'\(finer than microseconds\) (?P<value>[^\n']*)'"),
        "'{value}' is finer than the microseconds of a timestamp",
    ),
    (
        re.compile(
            r"[Cc]annot cast string '(?P<value>.*?)' to value of (?P<type>\w+(?:\([^)]*\))?) type", re.DOTALL
        ),
        "'{value}' is not {type}",
    ),
    (
        re.compile(r"Error parsing timestamp from '(?P<value>.*?)'(?: using format|:)", re.DOTALL),
        "'{value}' is not a date or timestamp of the form asked for",
    ),
    (
        re.compile(r"[Cc]an(?:not|'t) cast value (?P<value>\S+) to type (?P<type>\w+)"),
        "{value} does not fit {type}",
    ),
    (
        re.compile(r"[Cc]annot cast to (?P<type>\w+\([^)]*\))\. Overflowing on (?P<value>\S+)"),
        "a number has more digits than {type} holds ({value} at its scale)",
    ),
    (
        re.compile(r"value of (?P<value>\S+) is out of range (?P<type>\w+)"),
        "{value} does not fit {type}",
    ),
    (
        re.compile(
            r"(?P<value>\S+) is too (?:large|small) to store in a (?P<type>\w+) of precision (?P<digits>\d+)"
        ),
        "{value} has more than {digits} digits",
    ),
    (
        re.compile(r"Unable to parse date from (?P<year>\S+), (?P<month>\d+), (?P<day>\d+)"),
        "there is no day {day} of the month {month} in the year {year}",
    ),
    (
        re.compile(r"(?P<part>Month|Day) value '(?P<value>[^']*)' is out of range"),
        "there is no such {part} ({value})",
    ),
    (
        re.compile(r"[Cc]annot cast \S+ value (?P<value>\S+) to Timestamp\(ns\)"),
        "a moment is outside the years 1677 to 2262, which nanoseconds reach",
    ),
    (
        re.compile(
            r"Cannot cast timezone to different timezone|Cannot cast timestamp[^\n]*time ?zone", re.IGNORECASE
        ),
        "a local time does not exist, or exists twice, in its time zone",
    ),
)
"""A value that does not fit what the query makes of it; {type} is put in people's words."""

_TYPES: Final[tuple[tuple[str, str], ...]] = (
    ("Date", "a date (YYYY-MM-DD)"),
    ("Timestamp", "a timestamp (YYYY-MM-DD HH:MM:SS)"),
    ("Time", "a time (HH:MM:SS)"),
    ("Int", "an integer of that size"),
    ("UInt", "an integer of that size without a sign"),
    ("Float", "a number"),
    ("Bool", "true or false"),
)


def value_problem(message: str) -> str | None:
    """What is wrong with one value, from an engine's error; a sentence without its end, or None."""
    for pattern, sentence in _VALUES:
        hit = pattern.search(message)
        if hit:
            parts = {key: str(text)[:_LONGEST_VALUE] for key, text in hit.groupdict().items()}
            if "type" in parts:
                parts["type"] = _named(parts["type"])
            if "part" in parts:
                parts["part"] = parts["part"].lower()
            return sentence.format(**parts)
    return None


_LONGEST_VALUE: Final = 120


def _named(engine_type: str) -> str:
    decimal = re.match(r"Decimal\d+\((\d+), (-?\d+)\)", engine_type)
    if decimal:
        return f"a decimal({decimal[1]},{decimal[2]})"
    return next((name for start, name in _TYPES if engine_type.startswith(start)), "of the type asked for")


def explain(message: str) -> str:
    """Turn an engine's error into one sentence for the author of the query.

    What the engine says of its own plans and classes is left out.
    """
    value = value_problem(message)
    if value is not None:
        return f"{CANNOT_PLAN} {value}."
    text = _PREFIX.sub("", message.strip())
    for pattern, sentence in _KNOWN:
        hit = pattern.search(text)
        if hit:
            named = [_word(group) for group in hit.groups()]
            return sentence.format(*named)
    first_line = text.splitlines()[0].strip() if text else ""
    first_line = first_line.split(" No function matches")[0].split(" You might need")[0].rstrip(' ."')
    if not first_line or _INTERNAL.search(first_line):
        return f"{CANNOT_PLAN} the engine does not take one of its expressions; check its types and brackets."
    return f"{CANNOT_PLAN} {first_line}."


_INTERNAL: Final = re.compile(
    r"[A-Za-z]+\s*[({]\s*[a-z_]+:|::|\b(?:Utf8|LargeUtf8|Utf8View|Int\d+|UInt\d+|Float\d+|Decimal\d+|Date32|Date64)\b"
    r"|\b[A-Z][a-z]+[A-Z]\w+\b|optimizer|coerc|signature|__kalla",
)
"""Words of the engine's insides: types by its own names, classes, plans."""


def _word(group: str | None) -> str:
    """A piece of the engine's message, with its names of types put in people's words."""
    text = group or ""
    for pattern, name in _WORDS:
        text = pattern.sub(name, text)
    return text


_WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\b(?:Large)?Utf8(?:View)?\b", "text"),
        (r"\bU?Int\d+\b", "integer"),
        (r"\bFloat\d+\b", "float"),
        (r"\bDecimal\d+\((\d+), (-?\d+)\)", r"decimal(\1,\2)"),
        (r"\bDate(?:32|64)\b", "date"),
        (r"\bTimestamp\([^()]*, *\"[^)]*\)", "timestamp with time zone"),
        (r"\bTimestamp\([^)]*\)", "timestamp"),
        (r"\bTime(?:32|64)\([^)]*\)", "time"),
        (r"\bBoolean\b", "boolean"),
        (r"\bInterval\([^)]*\)", "interval"),
        (r"\bDuration\([^)]*\)", "duration"),
    )
)
