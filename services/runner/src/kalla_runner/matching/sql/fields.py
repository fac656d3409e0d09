"""Names with dots: a field of a struct column, `l.meta.ref`, means `l.meta['ref']`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt
from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.names import bind_column
from kalla_runner.matching.sql.scope import Resolution, Scope, candidates, fitting


def bind_name(node: exp.Column, scope: Scope, found: Resolution) -> None:
    """Resolve a name of one or more parts, in place; note a problem where it has no meaning.

    The first part is a relation if there is one of that name, else a struct column.
    """
    parts = [
        part
        for part in (node.args.get(key) for key in ("catalog", "db", "table", "this"))
        if isinstance(part, exp.Identifier)
    ]
    named = _named(parts, scope, found)
    if named == len(parts):
        bind_column(node, scope, found)
        return
    if not named:
        message = f"{node.sql()} is qualified too deeply: write alias.column, or alias.column.field."
        found.problem(Code.INVALID_SQL, message, parts[0])
        return
    column = exp.Column(this=parts[named - 1], table=parts[0] if named > 1 else None)
    bind_column(column, scope, found)
    bound = found.bindings.get(id(column))
    value: exp.Expr = column
    kind = bound[1].type if bound else None
    path = f"{column.table}.{column.name}"
    for part in parts[named:]:
        field = _field(part, kind, path, found)
        if field is None:
            return
        value = exp.Bracket(this=value, expressions=[exp.Literal.string(field.name)])
        kind, path = field.type, f"{path}.{field.name}"
    node.replace(value)


def _named(parts: list[exp.Identifier], scope: Scope, found: Resolution) -> int:
    """How many of the parts name the column; the others are fields of it. 0 if nothing fits so many parts."""
    if len(parts) == 1:
        return 1
    if _is_relation(parts[0], scope):
        return 2
    column = exp.Column(this=parts[0].copy())
    trial = Resolution(found.text)
    bind_column(column, scope, trial)
    bound = trial.bindings.get(id(column))
    if bound is not None and bound[1].type is not None and pt.is_struct(bound[1].type):
        return 1
    # A qualifier that is neither: of two parts the first was meant for a table.
    return 2 if len(parts) == 2 else 0  # noqa: PLR2004


def _is_relation(part: exp.Identifier, scope: Scope) -> bool:
    level: Scope | None = scope
    while level is not None:
        if any(r.visible and fitting(part, (r.name,)) for r in level.relations):
            return True
        level = level.outer
    return False


def _field(part: exp.Identifier, kind: pa.DataType | None, path: str, found: Resolution) -> pa.Field | None:
    if kind is None:
        return None
    if not pt.is_struct(kind):
        found.problem(Code.INVALID_SQL, f"{path} is no struct, so that it has no field {part.name}.", part)
        return None
    fields = list(kind.fields)
    fits = [field for field in fields if fitting(part, (field.name,))]
    if len(fits) == 1:
        return fits[0]
    names = [field.name for field in fields]
    if fits:
        either = ", ".join(f'"{field.name}"' for field in fits)
        message = f"The field {path}.{part.name} is ambiguous: write one of {either}, with the quotes."
    else:
        message = f"There is no field {part.name} in {path}; its fields are {candidates(part.name, names)}."
    found.problem(Code.INVALID_SQL, message, part)
    return None
