"""Finds the relation and the column that a name in a match query means."""

from __future__ import annotations

from kalla_common.errors import Code
from sqlglot import exp

from kalla_runner.matching.sql.scope import Binding, Relation, Resolution, Scope, candidates, fitting


def bind_column(node: exp.Column, scope: Scope, found: Resolution) -> None:
    """Resolve one Column node, write it out with quoted names, note a problem where it has no meaning."""
    binding = _find(node, scope, found)
    if binding is None:
        return
    relation, column = binding
    found.bind(node, binding)
    first = node.args.get("table") or node.this
    position = dict(first.meta)
    node.set("this", exp.to_identifier(column.name, quoted=True))
    node.set("table", exp.to_identifier(relation.name, quoted=True))
    node.args["table"].meta.update(position)


def _find(node: exp.Column, scope: Scope, found: Resolution) -> Binding | None:
    qualifier = node.args.get("table")
    if isinstance(qualifier, exp.Identifier):
        relation = find_relation(qualifier, scope, found)
        return None if relation is None else _in_relation(node, relation, found)
    level: Scope | None = scope
    while level is not None:
        hits = [
            (relation, column)
            for relation in level.relations
            if relation.visible
            for column in relation.fitting(node.this)
            if column.name not in relation.merged
        ]
        if len(hits) == 1:
            return hits[0]
        if hits:
            names = ", ".join(f"{r.name}.{c.name}" for r, c in hits)
            found.problem(
                Code.INVALID_SQL, f"The column {node.name} is ambiguous: it may mean {names}.", node
            )
            return None
        level = level.outer
    if all(r.columns for r in scope.relations):
        _unknown_column(node, scope, found)
    return None


def _unknown_column(node: exp.Column, scope: Scope, found: Resolution) -> None:
    near = candidates(node.name, [c.name for r in scope.relations if r.visible for c in r.columns])
    found.problem(
        Code.INVALID_SQL, f"There is no column {node.name}; the columns are {near or 'none'}.", node
    )


def find_relation(qualifier: exp.Identifier, scope: Scope, found: Resolution) -> Relation | None:
    """The relation that a qualifier means, or None after noting the problem."""
    level: Scope | None = scope
    while level is not None:
        hits = [r for r in level.relations if r.visible and fitting(qualifier, (r.name,))]
        if len(hits) == 1:
            return hits[0]
        if hits:
            names = ", ".join(r.name for r in hits)
            found.problem(Code.INVALID_SQL, f"{qualifier.name} is ambiguous: it may mean {names}.", qualifier)
            return None
        level = level.outer
    names = [r.name for r in scope.relations if r.visible]
    renamed = [
        r.name
        for r in scope.relations
        if isinstance(r.node, exp.Table) and fitting(qualifier, (r.node.name,)) and r.visible
    ]
    hint = f"write {renamed[0]}, its name here" if renamed else f"the tables here are {candidates('', names)}"
    found.problem(Code.INVALID_SQL, f"There is no table {qualifier.name} in this FROM; {hint}.", qualifier)
    return None


def _in_relation(node: exp.Column, relation: Relation, found: Resolution) -> Binding | None:
    hits = relation.fitting(node.this)
    if len(hits) == 1:
        return relation, hits[0]
    if not relation.columns:
        return None  # its own problem is noted already
    names = [c.name for c in relation.columns]
    if hits:
        either = ", ".join(f'"{c.name}"' for c in hits)
        message = f"The column {relation.name}.{node.name} is ambiguous: write {either}, with the quotes."
        if len({c.name for c in hits}) < len(hits):
            message = f"{relation.name} has several columns {node.name}: name them apart with AS."
    else:
        message = (
            f"There is no column {node.name} in {relation.name}; "
            f"its columns are {candidates(node.name, names)}."
        )
    found.problem(Code.INVALID_SQL, message, node)
    return None
