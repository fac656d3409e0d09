"""The columns of `matched`: one name each, and the primary keys of both sides among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.plan import TableInfo
from kalla_runner.matching.sql.resolve import is_aggregate
from kalla_runner.matching.sql.scope import Relation, Resolution, Scope, ScopeColumn, Side, own_parts


@dataclass(slots=True)
class Output:
    """A column of `matched`: its name, what it holds, and whether the engine added it."""

    name: str
    column: ScopeColumn
    relation: str | None
    added: bool = False


@dataclass(frozen=True, slots=True)
class Keys:
    """Where one side's primary key is in the output: positions in key order, and of which use."""

    positions: tuple[int, ...]
    instance: tuple[int, ...]


def top_select(query: exp.Query) -> exp.Query:
    """The query without brackets around the whole of it."""
    while (
        isinstance(query, exp.Subquery) and isinstance(query.this, exp.Query) and len(_set_args(query)) == 1
    ):
        query = query.this
    return query


def _set_args(node: exp.Expr) -> list[str]:
    return [name for name, value in node.args.items() if value]


def is_row_wise(query: exp.Query, found: Resolution) -> bool:
    """Whether every row of the query is made of one row of each table in its FROM."""
    scope = scope_of(query, found)
    if scope is None or any(query.args.get(k) for k in ("distinct", "group", "having")):
        return False
    return not any(is_aggregate(node) for node in own_parts(scope))


def scope_of(query: exp.Expr, found: Resolution) -> Scope | None:
    """The scope of a SELECT; None for anything else."""
    return next((s for s in found.scopes if s.select is query), None)


def outputs_of(query: exp.Query, columns: Sequence[ScopeColumn], found: Resolution) -> list[Output]:
    """The columns that the query itself selects."""
    first = leftmost(query)
    relations: list[str | None] = []
    for projection in first.expressions:
        bound = found.bindings.get(id(projection.this))
        relations.append(bound[0].name if bound else None)
    return [Output(c.name, c, r) for c, r in zip(columns, relations, strict=True)]


def leftmost(query: exp.Expr) -> exp.Select:
    """The SELECT that names the output columns."""
    while not isinstance(query, exp.Select):
        query = query.left if isinstance(query, exp.SetOperation) else query.this
    return query


def find_keys(
    query: exp.Query, outputs: list[Output], side: Side, table: TableInfo, found: Resolution
) -> Keys | None:
    """Find the key of one side in the outputs, adding to them what is missing.

    Returns:
        None after noting the problem: KEYS_NOT_SELECTED, or INVALID_SQL where it is unclear
        which use of a table that is read twice is meant.
    """
    complete = _complete(outputs, side, table)
    if len(complete) > 1:
        found.problem(
            Code.INVALID_SQL,
            f"The key of {table.alias} is among the columns {len(complete)} times, from different rows of "
            "it: keep one of them.",
        )
        return None
    if complete:
        return complete[0]
    scope = scope_of(query, found)
    sources = _key_sources(scope, side, table) if scope is not None else []
    if not is_row_wise(query, found) or not sources:
        found.problem(Code.KEYS_NOT_SELECTED, _advice(query, sources, side, table, found))
        return None
    started = [s for s in sources if any(o.column.origin == c.origin for o in outputs for _, c in s)]
    chosen = started if len(started) == 1 else sources
    if len(chosen) > 1:
        names = ", ".join(f"{r.name}.{c.name}" for s in chosen for r, c in s)
        found.problem(
            Code.KEYS_NOT_SELECTED,
            f"{table.alias} is read more than once: select the key that is meant, one of {names}.",
        )
        return None
    return _add(outputs, chosen[0])


def _complete(outputs: list[Output], side: Side, table: TableInfo) -> list[Keys]:
    groups: dict[tuple[tuple[int, ...], bool], dict[str, int]] = {}
    for position, output in enumerate(outputs):
        origin = output.column.origin
        if origin is not None and origin.side == side and origin.column in table.primary_key:
            groups.setdefault((origin.instance, origin.listed), {}).setdefault(origin.column, position)
    return [
        Keys(tuple(group[k] for k in table.primary_key), instance)
        for (instance, _), group in groups.items()
        if len(group) == len(table.primary_key)
    ]


def _key_sources(scope: Scope, side: Side, table: TableInfo) -> list[list[tuple[Relation, ScopeColumn]]]:
    """For each use of the side's table from which the whole key can be selected: its key columns."""
    groups: dict[tuple[int, tuple[int, ...]], dict[str, tuple[Relation, ScopeColumn]]] = {}
    for relation in scope.relations:
        for column in relation.columns if relation.visible else ():
            origin = column.origin
            if origin is not None and origin.side == side and not origin.listed:
                group = groups.setdefault((id(relation), origin.instance), {})
                group.setdefault(origin.column, (relation, column))
    return [
        [group[k] for k in table.primary_key]
        for group in groups.values()
        if all(k in group for k in table.primary_key)
    ]


def _add(outputs: list[Output], key: list[tuple[Relation, ScopeColumn]]) -> Keys:
    positions: list[int] = []
    for relation, column in key:
        there = next((i for i, o in enumerate(outputs) if o.column.origin == column.origin), None)
        if there is None:
            there = len(outputs)
            outputs.append(Output(column.name, column, relation.name, added=True))
        positions.append(there)
    origin = key[0][1].origin
    return Keys(tuple(positions), origin.instance if origin is not None else ())


def _advice(
    query: exp.Query,
    sources: list[list[tuple[Relation, ScopeColumn]]],
    side: Side,
    table: TableInfo,
    found: Resolution,
) -> str:
    scope = scope_of(query, found)
    direct = [r.name for r in scope.relations if r.side == side and r.visible] if scope is not None else []
    if sources:
        names = [f"{r.name}.{c.name}" for r, c in sources[0]]
    else:
        names = [f"{direct[0] if direct else table.alias}.{key}" for key in table.primary_key]
    wanted = ", ".join(names)
    missing = f"The primary key of {table.alias} is not among the selected columns"
    if isinstance(query, exp.SetOperation):
        return f"{missing}: add {wanted} to every SELECT of the {query.key.upper()}."
    if query.args.get("group") or (not is_row_wise(query, found) and not query.args.get("distinct")):
        gathered = ", ".join(f"array_agg({name})" for name in names)
        return f"{missing}: add {wanted} to SELECT and GROUP BY, or add {gathered} to SELECT."
    if query.args.get("distinct"):
        return f"{missing}: add {wanted} to SELECT DISTINCT, or leave DISTINCT out."
    return f"{missing} and cannot be added: let FROM offer {wanted}, with a JOIN and not inside a condition."


def name_outputs(outputs: list[Output]) -> None:
    """Give every output a name of its own, also where upper and lower case are the same."""
    wanted = Counter(o.name.casefold() for o in outputs)
    # A column that was asked for keeps its name before one that the engine adds.
    asked = Counter(o.name.casefold() for o in outputs if not o.added)
    kept = [wanted[o.name.casefold()] == 1 for o in outputs]
    used = {o.name.casefold() for o, keep in zip(outputs, kept, strict=True) if keep}
    for output, keep in zip(outputs, kept, strict=True):
        if keep:
            continue
        if not output.added and asked[output.name.casefold()] == 1:
            used.add(output.name.casefold())
            continue
        output.name = _free(_qualified(output), used)
        used.add(output.name.casefold())


def _qualified(output: Output) -> str:
    origin = output.column.origin
    prefix = origin.side if origin is not None else output.relation
    return f"{prefix}_{output.name}" if prefix else output.name


def _free(name: str, used: set[str]) -> str:
    if name.casefold() not in used:
        return name
    number = 2
    while f"{name}_{number}".casefold() in used:
        number += 1
    return f"{name}_{number}"
