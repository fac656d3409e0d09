"""Every signature over all types and edge values: what match_sql runs, DuckDB and PostgreSQL agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import duckdb
import psycopg
import pytest
from kalla_runner.matching.sql.catalogue import ENTRIES, OPERATORS

from tests.integration.matching.catalogue.engines import ERROR, in_duckdb, in_postgres, kalla
from tests.integration.matching.catalogue.oracles import DUCKDB, Oracle, Reason, postgres
from tests.integration.matching.catalogue.trials import Case, cases

_CASES: Final = {name: list(found) for name, found in itertools.groupby(cases(), lambda c: c.entry.name)}
_QUOTIENTS: Final = ("/", "avg")


@dataclass(frozen=True)
class Difference:
    """Where an oracle may answer otherwise, and why Kalla does not."""

    oracle: str
    when: Callable[[tuple[Any, ...], Any, Any], bool]
    reason: str


def _kalla_fails(_: tuple[Any, ...], ours: Any, theirs: Any) -> bool:
    return ours == ERROR and theirs != ERROR


def _not_finite(_: tuple[Any, ...], ours: Any, __: Any) -> bool:
    return isinstance(ours, float) and not (math.isfinite(ours) and ours)


_SIGMA: Final = "a sigma at the end of a word is ς by the rules of Unicode"

DIFFERENCES: Final[dict[str, tuple[Difference, ...]]] = {
    "upper": (
        Difference("postgres", lambda a, _, __: "ß" in (a[0] or ""), "ß has no capital: SS by Unicode"),
    ),
    "lower": (
        Difference("duckdb", lambda a, _, __: "Σ" in (a[0] or ""), _SIGMA),
        Difference("postgres", lambda a, _, __: "Σ" in (a[0] or ""), _SIGMA),
    ),
    "to_date": (
        Difference(
            "postgres",
            lambda a, ours, _: ours == ERROR and a[0] in ("02/03/2024", "30.02.2024", ""),
            "it takes any sign for a point; Kalla asks for the form that is written",
        ),
    ),
    "round": (
        Difference(
            "postgres",
            lambda a, ours, theirs: isinstance(a[0], float) and abs(ours - theirs) == 1,
            "it rounds floats to the nearest even number; Kalla rounds as it rounds decimals",
        ),
    ),
    **dict.fromkeys(
        ("mod", "%"),
        (
            Difference("postgres", _kalla_fails, "numbers of more than 38 digits are an error"),
            Difference(
                "duckdb",
                lambda _, __, theirs: isinstance(theirs, float),
                "it turns long decimals into floats",
            ),
        ),
    ),
    **dict.fromkeys(
        ("+", "-", "*"),
        (Difference("postgres", _kalla_fails, "numbers of more than 38 digits are an error"),),
    ),
    **dict.fromkeys(
        ("concat", "concat_ws"),
        (
            Difference(
                "postgres",
                lambda a, _, __: any(isinstance(x, bool) for x in a),
                "its concat writes t for true",
            ),
        ),
    ),
    "array_element": (
        Difference("postgres", lambda a, _, __: (a[1] or 0) < 0, "it has no places counted from the end"),
    ),
    "array_remove_all": (
        Difference(
            "postgres", lambda a, _, __: a[1] is None, "a NULL is no value to remove: the result is NULL"
        ),
    ),
    **dict.fromkeys(
        ("exp", "ln", "log10"),
        (Difference("postgres", _not_finite, "a float that is not finite stays one; it makes it an error"),),
    ),
    "/": (
        Difference("postgres", _not_finite, "a float divided by zero is infinite; there it is an error"),
        Difference("postgres", _kalla_fails, "quotients of more than 38 digits are an error"),
    ),
    "power": (Difference("duckdb", _kalla_fails, "zero to a negative power is an error, as in PostgreSQL"),),
}


@pytest.fixture(scope="module")
def oracles(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        yield connection


@pytest.mark.parametrize("name", list(_CASES))
def test_a_signature_means_the_same_in_three_engines(name: str, oracles: psycopg.Connection) -> None:
    wrong: list[str] = []
    used: set[str] = set()
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for case in _CASES[name]:
            ours = kalla(case.trial)
            answers = {
                "duckdb": _asked(
                    case, _duckdb(case), lambda sql, c=case: in_duckdb(connection, c.trial, sql)
                ),
                "postgres": _asked(
                    case, postgres(name, case.number), lambda sql, c=case: in_postgres(oracles, c.trial, sql)
                ),
            }
            wrong += _compare(case, ours, answers, used)
    assert not wrong, "\n".join(wrong[:20])
    stale = [d.reason for d in DIFFERENCES.get(name, ()) if d.reason not in used]
    assert not stale, f"differences that are stated and not seen: {stale}"


def _duckdb(case: Case) -> Oracle:
    own = DUCKDB.get((case.entry.name, case.number))
    template = own if own is not None else case.entry.signatures[case.number].duckdb
    assert template is not None, f"{case.name} has neither a template nor a reason for DuckDB"
    return template


def _asked(case: Case, oracle: Oracle, ask: Callable[[str], list[Any]]) -> list[Any] | None:
    if isinstance(oracle, Reason):
        return None
    arguments = [f"({argument})" for argument in case.arguments]
    sql = oracle.format(*arguments, all=", ".join(arguments))
    over = " OVER (PARTITION BY t.k ORDER BY t.id)" if case.entry.kind == "window" else ""
    return ask(sql + over)


def _compare(
    case: Case, ours: list[Any], answers: dict[str, list[Any] | None], used: set[str]
) -> Iterator[str]:
    for row, mine in enumerate(ours):
        arguments = tuple(cells[row] for cells in case.trial.columns.cells)
        given = {who: values[row] for who, values in answers.items() if values is not None}
        agreed = any(value != ERROR and same(case, mine, value) for value in given.values())
        for who, value in given.items():
            if same(case, mine, value):
                continue
            stated = [
                d
                for d in DIFFERENCES.get(case.entry.name, ())
                if d.oracle == who and d.when(arguments, mine, value)
            ]
            used.update(d.reason for d in stated)
            # One oracle's own limit, such as a number too wide for it, is none of ours if the other agrees.
            if not stated and not (value == ERROR and (agreed or len(given) == 1 or _beyond(given, mine))):
                yield f"{case.name}{arguments!r}: {mine!r}, {who} {value!r}"


def _beyond(given: dict[str, Any], mine: Any) -> bool:
    """A result that neither oracle's type holds, or that Python cannot show."""
    return all(value == ERROR for value in given.values()) and (
        str(mine).startswith("beyond") or (isinstance(mine, Decimal) and mine.adjusted() >= 4)
    )


def same(case: Case, one: Any, two: Any) -> bool:
    """Whether two values are the same, floats in nearly all their digits."""
    if isinstance(one, float) or isinstance(two, float):
        try:
            a, b = float(one), float(two)
        except (TypeError, ValueError):
            return False
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))
    if case.entry.name in _QUOTIENTS and isinstance(one, Decimal) and isinstance(two, Decimal):
        # PostgreSQL gives fewer digits of a large quotient: equal as far as both go.
        last = max(one.as_tuple().exponent, two.as_tuple().exponent)
        return abs(one - two) <= Decimal(1).scaleb(int(last))
    return bool(one == two)


def test_every_signature_is_tried_or_says_why_not() -> None:
    tried = {(case.entry.name, case.number) for found in _CASES.values() for case in found}
    elsewhere = {("get_field", 0), ("grouping", 0)}
    listed = {(e.name, n) for e in (*ENTRIES, *OPERATORS) for n in range(len(e.signatures))}
    assert listed - tried - elsewhere == set()


def test_no_difference_is_stated_for_what_is_not_there() -> None:
    assert set(DIFFERENCES) <= {entry.name for entry in (*ENTRIES, *OPERATORS)}
