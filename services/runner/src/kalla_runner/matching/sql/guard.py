"""Makes sure that the engine reads a match query as Kalla's parser did.

Kalla judges and rewrites a syntax tree; the engine has a parser of its own. The tree is written
out again with brackets around every operation: the plan of that must be the plan of the
author's own text. Where the plans differ they are compared as optimised too: `NOT a IN b` and
`a NOT IN b`, one tree to the parser and two to the engine, are one plan then.

One operator is read otherwise by the engine than by SQL: it takes all that follows `IS DISTINCT FROM`
for the right operand, also an AND. What runs has brackets around it; here another comparison stands
for it, so that the rest of the text is still read by both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.types as pt
from datafusion import DataFrame, SessionContext
from kalla_common.errors import Code, KallaError
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.deadline import check_time
from kalla_runner.matching.sql.dialect import bracket, quoted, render, split
from kalla_runner.matching.sql.engine_errors import explain
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.sql.scope import Table
from kalla_runner.matching.stable import written

_STAND_IN: Final = "concat"
"""Takes arguments of any type, and the optimiser cannot decide it, as it could a test for NULL."""
_FAR_YEAR: Final = re.compile(r"(?<=^')(?!1[7-9]|2[01])\d{4}(?=-\d\d-\d\d)")
_NEAR_LEAP_YEAR: Final = "2196"


def check_reading(text: str, tree: exp.Query, tables: Sequence[Table]) -> None:
    """Compare the two readings of a query.

    Args:
        text: as its author wrote it.
        tree: as Kalla parsed it, before any change.
        tables: all names that it may use.

    Raises:
        KallaError: INVALID_SQL where the engine cannot plan the text, or reads it otherwise.
    """
    session = _session(tables, None if tree.find(exp.Star) else _words(text))
    own, failure = _planned(session, _plain(text))
    check_time()
    bracketed, other = _planned(session, _plain(render(_bracketed(tree))))
    check_time()
    if own is None:
        if failure == other:
            # The engine's types are not those of the catalogue, by which what runs is made: its plan decides.
            return
        if bracketed is None:
            raise KallaError(Code.INVALID_SQL, explain(failure))
    alike = (
        own is not None
        and bracketed is not None
        and (
            written(own.logical_plan()) == written(bracketed.logical_plan())
            or _optimised_alike(own, bracketed)
        )
    )
    check_time()
    if not alike:
        raise KallaError(
            Code.INVALID_SQL,
            "match_sql can be read in two ways: put brackets around its operators, and write plain SQL "
            "in place of what only some databases have.",
        )


def _planned(session: SessionContext, sql: str) -> tuple[DataFrame | None, str]:
    """A plan, or why there is none."""
    try:
        return session.sql(sql), ""
    except Exception as error:  # noqa: BLE001  # the engine raises what it likes
        return None, str(error)


def _optimised_alike(one: DataFrame, two: DataFrame) -> bool:
    try:
        return written(one.optimized_logical_plan()) == written(two.optimized_logical_plan())
    except Exception:  # noqa: BLE001  # whatever it is, the readings differ
        return False


def _words(text: str) -> set[str]:
    return {token.text.lower() for token in split(text)}


def _session(tables: Sequence[Table], words: set[str] | None) -> SessionContext:
    session = new_session()
    for name, table in {t.name.casefold(): t for t in tables}.items():
        session.register_record_batches(quoted(name), [[_empty(table.info.schema, words)]])
    return session


def _empty(schema: pa.Schema, words: set[str] | None) -> pa.RecordBatch:
    """No rows of columns whose names are in lower case, as far as they stay apart.

    Without the columns that the query does not name: the engine looks at each many times.
    """
    names = list(dict.fromkeys(name.lower() for name in schema.names))
    if words is not None:
        names = [name for name in names if name in words] or names[:1]
    fields = {field.name.lower(): field for field in schema}
    lowered = pa.schema([pa.field(name, _lowered(fields[name].type)) for name in names])
    return pa.record_batch([pa.array([], f.type) for f in lowered], schema=lowered)


def _lowered(data_type: pa.DataType) -> pa.DataType:
    """The type with the fields of structs in lower case as well: by dots they are names, else texts."""
    if not pt.is_struct(data_type):
        return data_type
    fields = {field.name: _lowered(field.type) for field in data_type.fields}
    fields |= {name.lower(): kind for name, kind in fields.items() if name.lower() not in fields}
    return pa.struct(list(fields.items()))


def _plain(text: str) -> str:
    """Lower the case of all names, and put what the engine reads alike in place of what it does not."""
    pieces: list[str] = []
    at = 0
    closing: list[str] = []
    tokens = split(text)
    for i, token in enumerate(tokens):
        written = text[token.start : token.end + 1]
        if token.token_type is TokenType.IDENTIFIER:
            written = written.lower()
        elif token.token_type is TokenType.VAR and not written.isascii():
            written = written.lower()  # the engine lowers ASCII letters only
        elif token.token_type is TokenType.STRING:
            # The engine's nanoseconds do not reach so far; what runs is counted in microseconds.
            written = _FAR_YEAR.sub(_NEAR_LEAP_YEAR, written)
        elif _is_tolerance(tokens, i):
            written = _STAND_IN
        elif token.token_type is TokenType.NULLSAFE_EQ:
            written = "="
        elif _in_distinct_from(tokens, i):
            written = _distinct_stand_in(tokens, i)
        elif token.token_type is TokenType.L_PAREN:
            called = i > 0 and _is_tolerance(tokens, i - 1)
            closing.append(") = '')" if called else ")")
        elif token.token_type is TokenType.R_PAREN and closing:
            written = closing.pop()
        before = text[at : token.start]
        pieces.append(before + ("(" if _is_tolerance(tokens, i) else "") + written)
        at = token.end + 1
    return "".join(pieces) + text[at:]


def _is_tolerance(tokens: Sequence[Token], i: int) -> bool:
    return (
        tokens[i].token_type is TokenType.VAR
        and tokens[i].text.lower() == TOLERANCE
        and i + 1 < len(tokens)
        and tokens[i + 1].token_type is TokenType.L_PAREN
    )


def _in_distinct_from(tokens: Sequence[Token], i: int) -> bool:
    """Whether a token is one of IS [NOT] DISTINCT FROM."""
    word = tokens[i].text.upper()
    ahead = {"IS": 3, "NOT": 2, "DISTINCT": 1, "FROM": 0}.get(word)
    if ahead is None or tokens[i].token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return False
    words = [token.text.upper() for token in tokens[max(0, i - 3) : i + ahead + 1]]
    here = min(i, 3)
    for phrase in (["IS", "NOT", "DISTINCT", "FROM"], ["IS", "DISTINCT", "FROM"]):
        if word in phrase:
            start = here - phrase.index(word)
            if start >= 0 and words[start : start + len(phrase)] == phrase:
                return True
    return False


def _distinct_stand_in(tokens: Sequence[Token], i: int) -> str:
    if tokens[i].text.upper() != "IS":
        return ""
    return "=" if tokens[i + 1].text.upper() == "NOT" else "<>"


def _bracketed(tree: exp.Query) -> exp.Expr:
    twin = tree.copy()
    for node in list(twin.find_all(exp.NullSafeEQ, exp.NullSafeNEQ)):
        stand_in = exp.EQ if isinstance(node, exp.NullSafeEQ) else exp.NEQ
        node.replace(stand_in(this=node.this, expression=node.expression))
    bracket(twin)
    return twin
