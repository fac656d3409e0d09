"""What a match query may be: one SELECT over the run's own tables, and nothing that acts.

The list is of what is allowed, so that syntax nobody thought of is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kalla_common.errors import Code, KallaError
from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from kalla_runner.matching.sql.catalogue.equivalents import JSON
from kalla_runner.matching.sql.dialect import parse, sql_error, tokens_of
from kalla_runner.matching.sql.functions import refusal

_ALLOWED: Final[frozenset[type[exp.Expr]]] = frozenset(
    {
        *(exp.Select, exp.Union, exp.Except, exp.Intersect, exp.With, exp.CTE, exp.Subquery, exp.Table),
        *(exp.TableAlias, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order),
        *(exp.Ordered, exp.Limit, exp.Offset, exp.Distinct),
        *(exp.Identifier, exp.Column, exp.Alias, exp.Star, exp.Literal, exp.Boolean, exp.Null, exp.Paren),
        *(exp.And, exp.Or, exp.Not, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.DPipe),
        *(exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseLeftShift, exp.BitwiseRightShift),
        *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.Between, exp.In, exp.Is, exp.Like, exp.ILike, exp.Exists),
        *(exp.RegexpLike, exp.RegexpILike, exp.Any, exp.All, exp.Case, exp.If, exp.Cast, exp.TryCast),
        *(exp.DataType, exp.DataTypeParam, exp.Interval, exp.IntervalSpan, exp.Var, exp.Anonymous),
        *(exp.Extract, exp.Substring, exp.Trim, exp.StrPosition, exp.Overlay, exp.AtTimeZone),
        *(exp.Window, exp.WindowSpec, exp.Filter, exp.WithinGroup, exp.IgnoreNulls, exp.RespectNulls),
        *(exp.Tuple, exp.Array, exp.Bracket, exp.Slice, exp.Rollup, exp.Cube, exp.GroupingSets),
    }
)

_REASONS: Final[dict[type[exp.Expr], str]] = {
    exp.Dot: "functions have no schema before their name, and in place of (+) write LEFT JOIN with ON",
    exp.Escape: "ESCAPE is not available; a backslash takes the next sign as it is: LIKE '10\\%'",
    exp.Fetch: "write LIMIT in place of FETCH",
    exp.Into: "SELECT INTO writes a table",
    exp.Lock: "a match takes no locks",
    exp.Values: "VALUES makes rows that come from no source; register them as a look-up source",
    exp.Unnest: "unnest makes rows that come from no source",
    exp.Lateral: "LATERAL is not available; join the table with ON",
    exp.TableSample: "a sample would give another answer on a rerun",
    exp.Pivot: "PIVOT is not available; select the columns one by one",
    exp.SimilarTo: "SIMILAR TO is not available; write LIKE, or text ~ '^(pattern)$'",
    exp.IntDiv: "DIV is not available; write (a - a % b) / b for the whole part of a quotient",
    exp.WithTableHint: "leave out hints such as WITH (NOLOCK)",
    exp.Glob: "GLOB is not available; write LIKE, or text ~ 'pattern'",
    exp.Collate: "COLLATE is not available; texts are compared byte by byte, write upper(...) on both sides",
    exp.StrToDate: "CAST with FORMAT is not available; write TO_DATE(x, 'DD.MM.YYYY')",
    **dict.fromkeys(
        (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar, exp.JSONBContains),
        JSON,
    ),
    exp.Placeholder: "parameters are not available; write the value",
    exp.Parameter: "parameters are not available; write the value",
}

_OTHER_VERBS: Final = frozenset(
    {
        *("ALTER", "ANALYZE", "ATTACH", "BEGIN", "CALL", "CHECKPOINT", "CLOSE", "CLUSTER", "COMMENT"),
        *("COMMIT", "COPY", "CREATE", "DEALLOCATE", "DECLARE", "DELETE", "DESCRIBE", "DETACH", "DISCARD"),
        *("DO", "DROP", "EXECUTE", "EXPLAIN", "EXPORT", "FETCH", "FROM", "GRANT", "IMPORT", "INSERT"),
        *("INSTALL", "LISTEN", "LOAD", "LOCK", "MERGE", "NOTIFY", "PRAGMA", "PREPARE", "REFRESH"),
        *("REINDEX", "RELEASE", "REPLACE", "RESET", "REVOKE", "ROLLBACK", "SAVEPOINT", "SET", "SHOW"),
        *("START", "TABLE", "TRUNCATE", "UNLOAD", "UPDATE", "UPSERT", "USE", "VACUUM", "VALUES"),
    }
)
"""Words that begin other statements; any other first word is a slip of the pen."""

_NO_RLIKE: Final = "{word} is not available: write text ~ 'pattern'."
_VERBS: Final = "match_sql may only be one SELECT (WITH is allowed), not {verb}."


def read_query(text: str) -> exp.Query:
    """Parse match_sql and hold it against the sandbox.

    Raises:
        KallaError: INVALID_SQL, FORBIDDEN_SQL; with line and column.
    """
    tokens = tokens_of(text)
    if not tokens:
        raise KallaError(Code.INVALID_SQL, "match_sql is empty.")
    verb = next((t for t in tokens if t.text != "("), tokens[0])
    if verb.text.upper() not in ("SELECT", "WITH"):
        known = verb.text.upper() in _OTHER_VERBS
        raise sql_error(
            Code.FORBIDDEN_SQL if known else Code.INVALID_SQL,
            _VERBS.format(verb=verb.text.upper() if known else repr(verb.text)),
            text,
            verb,
        )
    for token in tokens:
        if token.token_type is TokenType.RLIKE and token.text.isalpha():
            # The parser would take the word for the operator ~, and the engine has another meaning for it.
            raise sql_error(Code.FORBIDDEN_SQL, _NO_RLIKE.format(word=token.text.upper()), text, token)
    statements = parse(text)
    if len(statements) != 1:
        raise KallaError(Code.FORBIDDEN_SQL, _VERBS.format(verb=f"{len(statements)} statements"))
    query = statements[0]
    if not isinstance(query, exp.Query):
        raise KallaError(Code.FORBIDDEN_SQL, _VERBS.format(verb=query.key.upper()))
    for node in query.walk():
        _check_node(node, text, tokens)
    return query


def _check_node(node: exp.Expr, text: str, tokens: Sequence[Token]) -> None:
    problem = _node_problem(node)
    if problem is not None:
        # A function without brackets does not know where it stood.
        word = next((t for t in tokens if t.text.lower() == _word(node)), node)
        raise sql_error(Code.FORBIDDEN_SQL, problem, text, word)


def _word(node: exp.Expr) -> str:
    """What a node without brackets and name is called in SQL."""
    return node.key.replace("current", "current_") if node.key.startswith("current") else node.key


def _node_problem(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Anonymous):
        return refusal(node.name.lower())
    if type(node) not in _ALLOWED:
        name = _word(node)
        return refusal(name) or _because(type(node)) or f"match_sql may not use {name.upper()}."
    if isinstance(node, exp.Table):
        return _table_problem(node)
    if isinstance(node, exp.Identifier) and node.name.startswith("$") and not node.args.get("quoted"):
        return _because(exp.Placeholder)
    if isinstance(node, exp.With) and node.args.get("recursive"):
        return "Recursive WITH is not available in match_sql."
    if isinstance(node, exp.Join) and node.method.upper() == "NATURAL":
        return "NATURAL JOIN joins on whatever columns share a name: write USING (...) or ON instead."
    if isinstance(node, exp.Query) and _takes_any(node):
        return "LIMIT and OFFSET without ORDER BY would give other rows on a rerun: add ORDER BY."
    if isinstance(node, exp.Select) and node.args.get("kind"):
        return f"SELECT AS {node.args['kind']} is not available in match_sql."
    return None


def _takes_any(query: exp.Query) -> bool:
    """Whether a query leaves it to chance which rows it gives; EXISTS does not mind."""
    cut = query.args.get("limit") or query.args.get("offset")
    return bool(cut) and not query.args.get("order") and not isinstance(query.parent, exp.Exists)


def _because(kind: type[exp.Expr]) -> str | None:
    reason = _REASONS.get(kind)
    return f"match_sql may not use this: {reason}." if reason else None


def _table_problem(node: exp.Table) -> str | None:
    function = node.this
    if isinstance(function, exp.Func):
        name = function.name.lower() or function.key
        return refusal(name) or f"Table functions such as {name} are not available in match_sql."
    if not isinstance(function, exp.Identifier):
        return "A table is named by the alias of its source; files cannot be read by name."
    if node.args.get("db"):
        return (
            f"{node.sql()} is qualified: tables are named by the alias of their source alone, "
            "and system schemas are not available."
        )
    return None
