"""Panics of the engine, which its Python binding raises beside all ordinary exceptions."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from kalla_common.errors import Code, KallaError

_PANIC: Final = "PanicException"
"""Of pyo3_runtime, a module that cannot be imported."""


@contextmanager
def panics_as_errors(code: Code, what: str) -> Generator[None]:
    """Raise a KallaError where the engine panics: a length or a count that no memory holds, as a rule.

    Args:
        code: of the error.
        what: the sentence's beginning, such as "match_sql cannot be planned".
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        reason = str(error).splitlines()[0][:100] if str(error) else "no reason given"
        raise KallaError(
            code, f"{what}: the engine stopped ({reason}); look for a length or a count that is too large."
        ) from error
