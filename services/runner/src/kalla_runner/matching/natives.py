"""Functions that the engine lacks, written with Arrow's own kernels: a batch at a time, no row in Python.

Only `plain_number` looks at single values, and only at those with an exponent.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from datafusion import ScalarUDF, udf

PREFIX: Final = "__kalla_"
NORMAL_FORMS: Final = ("NFC", "NFD", "NFKC", "NFKD")
PLAIN_NUMBER: Final = f"{PREFIX}plain_number"
_LONGEST: Final = 400
"""Digits that an exponent may stand for; no type holds more than 76, and a float64 has at most 309."""

# Arrow makes its kernels while it is imported, which type checkers do not see.
_kernels: Final[Any] = pc


def normal_form(form: str) -> str:
    """The engine's name of the function that brings text into a Unicode normal form."""
    return f"{PREFIX}{form.lower()}"


def _normalizer(form: str) -> Callable[[pa.Array], pa.Array]:
    def normalize(texts: pa.Array) -> pa.Array:
        return _kernels.utf8_normalize(texts, form=form)

    return normalize


def plain_number(texts: pa.Array) -> pa.Array:
    """Write numbers with an exponent without it, exactly; any other text stays as it is.

    1.2E+3 -> 1200        -5e-7 -> -0.0000005        12.50 -> 12.50        abc -> abc
    """
    marked = _kernels.match_substring(texts, "e", ignore_case=True)
    if not _kernels.any(marked).as_py():
        return texts
    return pa.array([None if text is None else _plain(text) for text in texts.to_pylist()], pa.string())


def _plain(text: str) -> str:
    if "e" not in text.lower() or "_" in text:
        return text
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if not value.is_finite() or abs(value.adjusted()) > _LONGEST:
        return text
    return format(value, "f")


def _text_function(name: str, function: Callable[[pa.Array], pa.Array]) -> ScalarUDF:
    return udf(function, [pa.string()], pa.string(), "immutable", name=name)


FUNCTIONS: Final[tuple[ScalarUDF, ...]] = (
    *(_text_function(normal_form(form), _normalizer(form)) for form in NORMAL_FORMS),
    _text_function(PLAIN_NUMBER, plain_number),
)
"""Registered with every session; match_sql cannot call them by name."""
