"""Makes sure that the engine reads a match query as Kalla's parser did.

Kalla judges and rewrites a syntax tree; the engine has a parser of its own. The tree is written
out again with brackets around every operation: the plan of that must be the plan of the
author's own text. Both plans are compared as optimised: `NOT a IN b` and `a NOT IN b`, one tree
to the parser and two to the engine, are one plan then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.types as pt
from datafusion import SessionContext
from kalla_common.errors import Code, KallaError
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.dialect import is_infix, quoted, render, tokens_of
from kalla_runner.matching.sql.engine_errors import explain
from kalla_runner.matching.sql.functions import TOLERANCE
from kalla_runner.matching.sql.scope import Table

_OPERATIONS: Final = (exp.Binary, exp.Unary, exp.Between, exp.In)
_STAND_IN: Final = "concat"
"""Takes arguments of any type, and the optimiser cannot decide it, as it could a test for NULL."""
_FAR_YEAR: Final = re.compile(r"(?<=^')(?!1[7-9]|2[01])\d{4}(?=-\d\d-\d\d)")
_NEAR_LEAP_YEAR: Final = "2196"
_LOOSE: Final = (exp.Paren, exp.Escape, exp.Alias, exp.Slice)


def check_reading(text: str, tree: exp.Query, tables: Sequence[Table]) -> None:
    """Compare the two readings of a query.

    Args:
        text: as its author wrote it.
        tree: as Kalla parsed it, before any change.
        tables: all names that it may use.

    Raises:
        KallaError: INVALID_SQL where the engine cannot plan the text, or reads it otherwise.
    """
    session = _session(tables)
    try:
        own = _plan(session, _plain(text))
    except Exception as error:  # noqa: BLE001  # the engine raises what it likes
        raise KallaError(Code.INVALID_SQL, explain(str(error))) from None
    try:
        bracketed = _plan(session, _plain(render(_bracketed(tree))))
    except Exception:  # noqa: BLE001  # whatever it is, the readings differ
        bracketed = ""
    if own != bracketed:
        raise KallaError(
            Code.INVALID_SQL,
            "match_sql can be read in two ways: put brackets around its operators, and write plain SQL "
            "in place of what only some databases have.",
        )


def _session(tables: Sequence[Table]) -> SessionContext:
    session = new_session()
    for name, table in {t.name.casefold(): t for t in tables}.items():
        session.register_record_batches(quoted(name), [[_empty(table.info.schema)]])
    return session


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    """No rows of columns whose names are in lower case, as far as they stay apart."""
    names = list(dict.fromkeys(name.lower() for name in schema.names))
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


def _plan(session: SessionContext, sql: str) -> str:
    return session.sql(sql).optimized_logical_plan().display_indent()


def _plain(text: str) -> str:
    """Lower the case of all names, and put what the engine knows in place of tolerance_match."""
    pieces: list[str] = []
    at = 0
    closing: list[str] = []
    tokens = tokens_of(text)
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


def _bracketed(tree: exp.Query) -> exp.Expr:
    twin = tree.copy()
    for node in list(twin.walk()):
        parent = node.parent
        if not isinstance(node, _OPERATIONS) or isinstance(node, _LOOSE) or parent is None:
            continue
        if isinstance(node, exp.Binary) and type(node) is type(parent) and parent.args.get("this") is node:
            continue  # a chain such as a AND b AND c; deep brackets would not be read again
        if is_infix(parent):
            continue
        if isinstance(parent, (*_OPERATIONS, exp.AtTimeZone, exp.Bracket)) and not isinstance(parent, _LOOSE):
            paren = exp.Paren()
            node.replace(paren)
            paren.set("this", node)
    return twin
