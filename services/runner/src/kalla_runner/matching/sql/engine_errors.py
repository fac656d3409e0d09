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
    (
        re.compile(r"Invalid function '([^']+)'\.\s*(?:Did you mean '([^']+)'\?)?"),
        "There is no function {0}{1}.",
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


def explain(message: str) -> str:
    """Turn an engine's error into one sentence for the author of the query."""
    text = _PREFIX.sub("", message.strip())
    for pattern, sentence in _KNOWN:
        hit = pattern.search(text)
        if hit:
            first, second = hit.group(1), (hit.group(2) if hit.re.groups > 1 else None)
            return sentence.format(first, f"; did you mean {second}" if second else "")
    first_line = text.splitlines()[0].strip() if text else "The query cannot be planned"
    first_line = first_line.split(" No function matches")[0].split(" You might need")[0].rstrip(' ."')
    return f"{CANNOT_PLAN} {first_line}."
