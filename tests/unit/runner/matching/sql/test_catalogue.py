"""The catalogue is the only door to the engine's functions, and says of each what it must."""

from __future__ import annotations

import pytest
from datafusion import SessionConfig, SessionContext
from kalla_common.errors import Code
from kalla_runner.matching.natives import FUNCTIONS
from kalla_runner.matching.sql.catalogue import (
    AGGREGATES,
    ENTRIES,
    KEY_KEEPING,
    NAMES,
    OPERATORS,
    Entry,
    find,
)
from kalla_runner.matching.sql.functions import refusal, unknown

from tests.unit.runner.matching.sql.tables import refused


def engine_functions() -> list[str]:
    session = SessionContext(SessionConfig({"datafusion.catalog.information_schema": "true"}))
    found = session.sql("SELECT DISTINCT routine_name AS n FROM information_schema.routines").to_pydict()["n"]
    return sorted(found)


def test_no_function_of_the_engine_is_callable_outside_the_catalogue() -> None:
    open_doors = [
        name
        for name in engine_functions()
        if find(name) is None and refusal(name) is None and unknown(name) is None
    ]
    assert open_doors == []


@pytest.mark.parametrize(
    "name", ["array_normalize", "cosine_distance", "file_row_index", "named_struct", "to_unixtime"]
)
def test_a_function_that_the_engine_has_and_the_catalogue_has_not_is_refused(name: str) -> None:
    error = refused(f"SELECT {name}(l.id) FROM invoices l JOIN payments r ON l.id = r.id")
    assert error.code in (Code.INVALID_SQL, Code.FORBIDDEN_SQL)
    assert name in error.message


@pytest.mark.parametrize(
    "name", [function.name for function in FUNCTIONS] + ["__kalla_nfc", "like", "and", "case_"]
)
def test_what_kalla_keeps_for_itself_cannot_be_called(name: str) -> None:
    error = refused(f'SELECT "{name}"(l.invoice_id) FROM invoices l JOIN payments r ON l.id = r.id')
    assert error.code in (Code.INVALID_SQL, Code.FORBIDDEN_SQL)


def test_every_name_is_given_once() -> None:
    names = [name for entry in ENTRIES for name in (entry.name, *entry.aliases)]
    assert len(names) == len(set(names)) == len(NAMES)
    assert all(name == name.lower() for name in names)
    assert len({entry.name for entry in OPERATORS}) == len(OPERATORS)


@pytest.mark.parametrize("entry", [*ENTRIES, *OPERATORS], ids=lambda entry: entry.name)
def test_every_entry_says_what_it_means(entry: Entry) -> None:
    assert entry.meaning.endswith(".")
    assert entry.signatures
    for signature in entry.signatures:
        assert not (signature.optional and signature.repeated)
        assert all(parameter.families for parameter in signature.parameters)


def test_aggregates_whose_result_is_a_value_that_went_in_are_aggregates() -> None:
    assert KEY_KEEPING <= AGGREGATES
