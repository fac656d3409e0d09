"""Name resolution: every name in a match query gets the one meaning it has, or a problem is noted.

The tree is rewritten in place: identifiers are quoted, `*` is written out, USING becomes ON,
and every output column gets its name. No meaning is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kalla_common.errors import Code, KallaError
from sqlglot import exp

from kalla_runner.matching.sql.apart import tell_apart
from kalla_runner.matching.sql.arithmetic import make_arithmetic_exact
from kalla_runner.matching.sql.calls import settle_calls
from kalla_runner.matching.sql.catalogue import AGGREGATES, KEY_KEEPING
from kalla_runner.matching.sql.dialect import bare, plain_number, render
from kalla_runner.matching.sql.fields import bind_name
from kalla_runner.matching.sql.moments import widen_dates, widen_literals
from kalla_runner.matching.sql.names import bind_column, find_relation
from kalla_runner.matching.sql.rounding import make_rounding_exact
from kalla_runner.matching.sql.scope import (
    Origin,
    Relation,
    Resolution,
    Scope,
    ScopeColumn,
    Table,
    candidates,
    fitting,
    own_nodes,
)
from kalla_runner.matching.sql.types import Typer
from kalla_runner.matching.sql.zeros import keep_one_zero

Columns = tuple[ScopeColumn, ...]

_MOST_COLUMNS = 1_500
"""The engine looks for each selected column among all others, which for ten thousand takes it a minute."""
_BRACKETS = "Joins in brackets are not available: write them in a row."


def resolve(
    query: exp.Query, tables: Sequence[Table], text: str, typer: Typer, *, as_written: bool = False
) -> tuple[Columns, Resolution]:
    """Resolve all names of `query`, in place.

    Args:
        query: its syntax tree.
        tables: the sources.
        text: its text, for the positions of problems.
        typer: says the types of expressions.
        as_written: leave out what is rewritten only for the match engine's sake.

    Returns:
        Its output columns, in order; and what was found, problems included.
    """
    for literal in query.find_all(exp.Literal):
        if not literal.is_string and any(c in literal.name for c in "eE"):
            # An exponent would make a decimal of negative scale, which few readers know.
            literal.set("this", plain_number(literal.name))
    if not as_written:
        widen_literals(query)
    resolver = _Resolver(tables, Resolution(text), typer, as_written)
    outputs = resolver.query(query, None, {})
    return outputs, resolver.found


@dataclass(eq=False, slots=True)
class _Resolver:
    tables: Sequence[Table]
    found: Resolution
    typer: Typer
    as_written: bool
    instances: int = 0
    gatherings: dict[str, int] = field(default_factory=dict)
    """A number for each order and filter by which array_agg gathers."""

    def query(self, node: exp.Expr, outer: Scope | None, ctes: Mapping[str, Columns]) -> Columns:
        """Resolve a SELECT or a set operation, with or without brackets."""
        ctes = self._with(node, ctes)
        if isinstance(node, exp.Select):
            return self._select(node, outer, ctes)
        if isinstance(node, exp.Subquery):
            columns = self.query(node.this, outer, ctes)
            self._order_of_outputs(node, columns)
            return columns
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, outer, ctes)
        self.found.problem(Code.INVALID_SQL, _BRACKETS, node)
        return ()

    def _with(self, node: exp.Expr, ctes: Mapping[str, Columns]) -> Mapping[str, Columns]:
        clause = node.args.get("with_")
        if not isinstance(clause, exp.With):
            return ctes
        known = dict(ctes)
        for cte in clause.expressions:
            columns = self._renamed(self.query(cte.this, None, known), cte.args["alias"])
            name = _quote(cte.args["alias"].this)
            known[name] = columns
        return known

    def _renamed(self, columns: Columns, alias: exp.TableAlias | None) -> Columns:
        names = [_quote(i) for i in (alias.args.get("columns") or ())] if alias is not None else []
        if not names:
            return columns
        if len(names) != len(columns):
            self.found.problem(
                Code.INVALID_SQL,
                f"{len(names)} column names are given for a query of {len(columns)} columns.",
                alias,
            )
            return ()
        return tuple(ScopeColumn(n, c.type, c.origin) for n, c in zip(names, columns, strict=True))

    def _set_operation(
        self, node: exp.SetOperation, outer: Scope | None, ctes: Mapping[str, Columns]
    ) -> Columns:
        if node.args.get("by_name"):
            self.found.problem(
                Code.FORBIDDEN_SQL, "UNION BY NAME is not available: select the columns in order.", node
            )
        one = self.query(node.left, outer, ctes)
        two = self.query(node.right, outer, ctes)
        if len(one) != len(two):
            self.found.problem(
                Code.INVALID_SQL,
                f"The two sides of {node.key.upper()} have {len(one)} and {len(two)} columns.",
                node.right,
            )
            return ()
        columns = tuple(self._united(node, a, b) for a, b in zip(one, two, strict=True))
        self._order_of_outputs(node, columns)
        return columns

    def _united(self, node: exp.SetOperation, a: ScopeColumn, b: ScopeColumn) -> ScopeColumn:
        common = self.typer.united(a.type, b.type)
        if a.type is not None and b.type is not None and common is None:
            self.found.problem(
                Code.TYPE_MISMATCH,
                f"{node.key.upper()} puts {self.typer.name(a.type)} and {self.typer.name(b.type)} into one "
                f"column {a.name}: write CAST({a.name} AS ...) so that both sides have one type.",
                node.right,
            )
        origin = None
        if isinstance(node, exp.Except):
            origin = a.origin
        elif a.origin and b.origin and (a.origin.side, a.origin.column) == (b.origin.side, b.origin.column):
            listed = a.origin.listed and b.origin.listed
            self.instances += 1
            same = a.origin.listed == b.origin.listed
            # Columns of one SELECT keep together: the pair of instances is the new instance.
            pair = (-1, *a.origin.instance, -2, *b.origin.instance)
            origin = Origin(a.origin.side, a.origin.column, pair, listed) if same else None
        return ScopeColumn(a.name, common, origin)

    def _order_of_outputs(self, node: exp.Expr, columns: Columns) -> None:
        order = node.args.get("order")
        for column in order.find_all(exp.Column) if isinstance(order, exp.Order) else ():
            fits = fitting(column.this, [c.name for c in columns])
            if len(fits) != 1 or column.args.get("table"):
                near = candidates(column.name, [c.name for c in columns])
                self.found.problem(
                    Code.INVALID_SQL, f"ORDER BY {column.name} is none of the output columns {near}.", column
                )
                continue
            column.this.set("this", fits[0])
            column.this.set("quoted", True)

    def _select(self, select: exp.Select, outer: Scope | None, ctes: Mapping[str, Columns]) -> Columns:
        scope = Scope(select, outer)
        source = select.args.get("from_")
        if source is not None:
            self._relation(source.this, scope, ctes)
        for join in select.args.get("joins") or ():
            self._join(join, scope, ctes)
        self._expand_stars(scope)
        for projection in select.expressions:
            self._bind(projection, scope, ctes)
        self._name_outputs(scope)
        for key in ("where", "group", "having", "qualify", "order", "distinct"):
            part = select.args.get(key)
            if isinstance(part, exp.Expr):
                if key != "where":
                    self._replace_output_names(part, scope, inputs_first=key != "order")
                self._bind(part, scope, ctes)
        if not self.as_written:
            settle_calls(scope, self.found, self.typer)
            widen_dates(scope, self.found, self.typer)
            make_arithmetic_exact(scope, self.found, self.typer)
            make_rounding_exact(scope, self.found, self.typer)
            keep_one_zero(scope, self.found, self.typer)
            tell_apart(scope)
        scope.outputs = self._outputs(scope)
        self.found.scopes.append(scope)
        return scope.outputs

    def _relation(self, node: exp.Expr, scope: Scope, ctes: Mapping[str, Columns]) -> None:
        alias = node.args.get("alias")
        if node.args.get("joins"):
            self.found.problem(Code.INVALID_SQL, _BRACKETS, node)
        relation = None
        if isinstance(node, exp.Table):
            relation = self._table(node, ctes)
        elif isinstance(node, exp.Subquery):
            inner = self.query(node.this, None, ctes)
            if alias is None:
                self.found.problem(
                    Code.INVALID_SQL, "A query in FROM needs a name: write (...) AS name.", node
                )
            else:
                relation = Relation("", self._instance(self._renamed(inner, alias)), node)
        if relation is None:
            relation = Relation(node.alias_or_name, (), node)
        if isinstance(alias, exp.TableAlias):
            relation.name = _quote(alias.this)
            if isinstance(node, exp.Table):
                relation.columns = self._renamed(relation.columns, alias)
                relation.side = relation.side if not alias.args.get("columns") else None
        if any(r.name.casefold() == relation.name.casefold() for r in scope.relations):
            self.found.problem(
                Code.INVALID_SQL,
                f"Two tables are called {relation.name} in one FROM: give one of them another name with AS.",
                node,
            )
        scope.relations.append(relation)

    def _table(self, node: exp.Table, ctes: Mapping[str, Columns]) -> Relation | None:
        identifier = node.this
        for name in fitting(identifier, ctes)[-1:]:
            self._rename(identifier, name)
            return Relation(name, self._instance(ctes[name]), node)
        names = [t.name for t in self.tables]
        fits = fitting(identifier, names)
        if len(fits) != 1:
            if fits:
                message = (
                    f"The table {identifier.name} is ambiguous: write one of {', '.join(fits)} in quotes."
                )
            else:
                message = f"There is no table {identifier.name}; the tables are {', '.join(names)}."
            self.found.problem(Code.INVALID_SQL, message, node)
            return None
        table = next(t for t in self.tables if t.name == fits[0])
        self._rename(identifier, table.name)
        self.instances += 1
        columns = tuple(
            ScopeColumn(f.name, f.type, Origin(table.side, f.name, (self.instances,)) if table.side else None)
            for f in table.info.schema
        )
        return Relation(table.name, columns, node, table.side)

    def _rename(self, identifier: exp.Identifier, name: str) -> None:
        identifier.set("this", name)
        identifier.set("quoted", True)

    def _instance(self, columns: Columns) -> Columns:
        """Mark columns as those of one more use of a query."""
        self.instances += 1
        return tuple(
            ScopeColumn(
                c.name,
                c.type,
                c.origin
                and Origin(
                    c.origin.side, c.origin.column, (self.instances, *c.origin.instance), c.origin.listed
                ),
            )
            for c in columns
        )

    def _join(self, join: exp.Join, scope: Scope, ctes: Mapping[str, Columns]) -> None:
        before = list(scope.relations)
        self._relation(join.this, scope, ctes)
        relation = scope.relations[-1]
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        if kind in ("SEMI", "ANTI") and side == "RIGHT":
            self.found.problem(
                Code.INVALID_SQL, f"RIGHT {kind} JOIN is not available: write EXISTS.", join.this
            )
        using = join.args.get("using")
        if using:
            self._using(join, using, side, before, relation)
        on = join.args.get("on")
        if isinstance(on, exp.Expr):
            self._bind(on, scope, ctes)
        if kind in ("SEMI", "ANTI"):
            relation.visible = False

    def _using(
        self, join: exp.Join, using: Sequence[exp.Expr], side: str, before: list[Relation], relation: Relation
    ) -> None:
        if side in ("RIGHT", "FULL"):
            self.found.problem(
                Code.INVALID_SQL,
                f"USING in a {side} JOIN is not available: write ON with both columns.",
                join.this,
            )
        terms: list[exp.Expr] = []
        for item in using:
            identifier = item.this if isinstance(item, exp.Column) else item
            assert isinstance(identifier, exp.Identifier)  # noqa: S101  # the grammar has nothing else here
            pair: list[exp.Expr] = []
            for visible in (before, [relation]):
                column = exp.Column(this=identifier.copy())
                column.this.meta.update(identifier.meta)
                bind_column(column, Scope(exp.Select(), None, visible), self.found)
                pair.append(column)
            terms.append(exp.EQ(this=pair[0], expression=pair[1]))
            bound = self.found.bindings.get(id(pair[1]))
            if bound is not None:
                relation.merged |= {bound[1].name}
        join.set("using", None)
        join.set("on", exp.and_(*terms, copy=False))

    def _expand_stars(self, scope: Scope) -> None:
        expanded: list[exp.Expr] = []
        for projection in scope.select.expressions:
            star = projection.this if isinstance(projection, exp.Column) else projection
            if not isinstance(star, exp.Star):
                expanded.append(projection)
                continue
            expanded += self._star_columns(projection, star, scope)
        if len(expanded) > _MOST_COLUMNS:
            raise KallaError(
                Code.INVALID_SQL,
                f"match_sql selects {len(expanded):,} columns in one SELECT and may select "
                f"{_MOST_COLUMNS:,}: name those that are needed.",
            )
        scope.select.set("expressions", expanded)

    def _star_columns(self, projection: exp.Expr, star: exp.Star, scope: Scope) -> list[exp.Expr]:
        if star.args.get("replace") or star.args.get("rename"):
            self.found.problem(
                Code.INVALID_SQL,
                "* REPLACE and * RENAME are not available: write the columns out.",
                projection,
            )
        relations = [r for r in scope.relations if r.visible]
        qualified = isinstance(projection, exp.Column)
        if isinstance(projection, exp.Column):
            relation = find_relation(
                projection.args["table"], Scope(scope.select, None, relations), self.found
            )
            relations = [relation] if relation is not None else []
        pairs = [(r, c) for r in relations for c in r.columns if qualified or c.name not in r.merged]
        for item in star.args.get("except_") or ():
            identifier = item.this if isinstance(item, exp.Column) else item
            fits = [p for p in pairs if fitting(identifier, (p[1].name,))]
            if not fits:
                self.found.problem(
                    Code.INVALID_SQL, f"EXCEPT names no column: {identifier.name}.", projection
                )
            pairs = [p for p in pairs if p not in fits]
        columns: list[exp.Expr] = []
        for relation, column in pairs:
            node = exp.column(column.name, table=relation.name, quoted=True)
            node.this.meta.update(projection.meta)
            columns.append(node)
        return columns

    def _bind(self, root: exp.Expr, scope: Scope, ctes: Mapping[str, Columns]) -> None:
        for node in own_nodes(root):
            if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
                if id(node) not in self.found.bindings:
                    bind_name(node, scope, self.found)
            elif isinstance(node, exp.Query):
                self._nested(node, scope, ctes)
            elif isinstance(node, exp.Exists) and isinstance(node.this, exp.Query):
                self.query(node.this, scope, ctes)

    def _nested(self, node: exp.Query, scope: Scope, ctes: Mapping[str, Columns]) -> None:
        columns = self.query(node, scope, ctes)
        if len(columns) > 1:
            self.found.problem(
                Code.INVALID_SQL, f"A query used as a value has {len(columns)} columns; select one.", node
            )
        self.found.type_query(node, columns[0].type if len(columns) == 1 else None)

    def _name_outputs(self, scope: Scope) -> None:
        named: list[exp.Expr] = []
        for position, projection in enumerate(scope.select.expressions, 1):
            if isinstance(projection, exp.Alias):
                self._rename(projection.args["alias"], projection.alias)
                named.append(projection)
                continue
            name = _default_name(projection, position)
            named.append(exp.alias_(projection, name, quoted=True, copy=False))
        scope.select.set("expressions", named)

    def _replace_output_names(self, part: exp.Expr, scope: Scope, *, inputs_first: bool) -> None:
        """Put the expression in place of an output name, where SQL lets one stand for it."""
        inputs = {c.name.casefold() for r in scope.relations if r.visible for c in r.columns}
        aliased = [p for p in scope.select.expressions if isinstance(p, exp.Alias)]
        for node in list(own_nodes(part)):
            if not isinstance(node, exp.Column) or node.args.get("table"):
                continue
            if inputs_first and node.name.casefold() in inputs:
                continue
            fits = [p for p in aliased if fitting(node.this, (p.alias,))]
            if len(fits) == 1:
                twin = self.found.copy(fits[0].this)
                compound = isinstance(twin, exp.Binary | exp.Unary | exp.Between | exp.In)
                node.replace(exp.Paren(this=twin) if compound else twin)

    def _outputs(self, scope: Scope) -> Columns:
        expressions = [p.this for p in scope.select.expressions]
        types = self.typer.types(expressions, self.found)
        return tuple(
            ScopeColumn(p.alias, t, self._origin(p.this))
            for p, t in zip(scope.select.expressions, types, strict=True)
        )

    def _origin(self, node: exp.Expr) -> Origin | None:
        node = bare(node)
        if isinstance(node, exp.Column):
            bound = self.found.bindings.get(id(node))
            return bound[1].origin if bound else None
        if isinstance(node, exp.Filter):
            return self._origin(node.this)
        if not isinstance(node, exp.Anonymous) or not node.expressions:
            return None
        argument = node.expressions[0]
        while isinstance(argument, exp.Order | exp.Distinct):
            argument = argument.this if isinstance(argument, exp.Order) else argument.expressions[0]
        name = node.name.lower()
        origin = self._origin(argument) if name in KEY_KEEPING or name == "array_agg" else None
        if origin is None or origin.listed:
            return None
        if name == "array_agg":
            return Origin(origin.side, origin.column, self._gathering(node, origin), listed=True)
        # An aggregate makes an instance of its own: two of them need not speak of one row.
        self.instances += 1
        return Origin(origin.side, origin.column, (*origin.instance, -3, self.instances))

    def _gathering(self, call: exp.Anonymous, origin: Origin) -> tuple[int, ...]:
        """The instance of a list. Places of two lists speak of one row only if both are gathered alike."""
        self.instances += 1
        if call.find(exp.Distinct):
            return (*origin.instance, -4, self.instances)
        order = call.expressions[0] if isinstance(call.expressions[0], exp.Order) else None
        condition = call.parent.expression if isinstance(call.parent, exp.Filter) else None
        how = " ".join(render(node) for node in (*(order.expressions if order else ()), condition) if node)
        if not how:
            return origin.instance
        return (*origin.instance, -4, self.gatherings.setdefault(how, self.instances))


def _quote(identifier: exp.Identifier) -> str:
    identifier.set("quoted", True)
    return identifier.name


def _default_name(node: exp.Expr, position: int) -> str:
    node = bare(node)
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Bracket) and len(node.expressions) == 1 and node.expressions[0].is_string:
        return node.expressions[0].name  # a field of a struct
    if isinstance(node, exp.Cast | exp.TryCast):
        return _default_name(node.this, position)
    if isinstance(node, exp.Window | exp.Filter | exp.WithinGroup):
        return _default_name(node.this, position)
    if isinstance(node, exp.Anonymous):
        return node.name.lower()
    return f"column{position}"


def is_aggregate(node: exp.Expr) -> bool:
    """Whether a node calls an aggregate (a window function over rows is none)."""
    return (
        isinstance(node, exp.Anonymous)
        and node.name.lower() in AGGREGATES
        and not isinstance(node.parent, exp.Window)
        and not (isinstance(node.parent, exp.Filter) and isinstance(node.parent.parent, exp.Window))
    )
