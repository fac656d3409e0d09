"""What the engine says about bad data becomes one sentence and a code of the catalogue."""

from __future__ import annotations

import pytest
from kalla_common.errors import Code, KallaError
from kalla_runner.matching.failures import engine_failures
from kalla_runner.matching.limits import Limits
from kalla_runner.matching.sql.tolerance import NEGATIVE_THRESHOLD


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        (
            "DataFusion error: Resources exhausted: Failed to allocate 9 B",
            Code.MEMORY_LIMIT,
            "limit of 64 MiB",
        ),
        ("DataFusion error: IO error: No space left on device (os error 28)", Code.STORAGE_FULL, "no room"),
        ("DataFusion error: Arrow error: Divide by zero error", Code.INVALID_DATA, "NULLIF"),
        (
            "DataFusion error: Arrow error: Arithmetic overflow: Overflow happened on: 9 * 9",
            Code.INVALID_DATA,
            "(9 * 9)",
        ),
        (
            "DataFusion error: Arrow error: Cast error: Cannot cast string 'x' to value of Int64 type",
            Code.INVALID_DATA,
            "'x' is not an integer",
        ),
        (
            "DataFusion error: Arrow error: Cast error: Can't cast value 9 to type Int32",
            Code.INVALID_DATA,
            "9 does not fit an integer",
        ),
        (
            f"Arrow error: Cast error: Cannot cast string '{NEGATIVE_THRESHOLD}' to value of Int64 type",
            Code.INVALID_DATA,
            "negative",
        ),
        ("Schema error: No field named nosuch.", Code.INVALID_SQL, "nosuch"),
    ],
)
def test_a_failure_on_the_data_is_explained(text: str, code: Code, part: str) -> None:
    with pytest.raises(KallaError) as caught, engine_failures(Limits(memory_bytes=64 << 20)):
        raise Exception(text)  # noqa: TRY002 - what the engine raises
    assert caught.value.code is code
    assert part in caught.value.message
    assert caught.value.message.endswith(".")


def test_a_defect_of_the_engine_stays_one() -> None:
    with pytest.raises(RuntimeError, match="index out of bounds"), engine_failures(Limits()):
        raise RuntimeError("index out of bounds: the len is 1 but the index is 2")


def test_an_error_of_the_catalogue_passes_unchanged() -> None:
    original = KallaError(Code.STORAGE_FULL, "Divide by zero error.")
    with pytest.raises(KallaError) as caught, engine_failures(Limits()):
        raise original
    assert caught.value is original
