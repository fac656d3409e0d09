"""The columns that a mapping gives, and where the values of each lie in a document.

The document (`_source`) is the truth: an index keeps a scaled_float rounded, a date to the
millisecond, a long text not at all. The mapping says what its values are meant to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast

import pyarrow as pa
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.search.dates import DateFormat, date_format
from kalla_runner.connectors.type_names import decimal_type, type_name

ID: Final = "_id"
"""The column of the document's id. No field can have this name: both engines refuse it."""


class Kind(Enum):
    """How a column's JSON values are read."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    BINARY = "binary"
    JSON = "json"
    DECLARED_TEXT = "declared text"
    """Anything as text: a scalar as it is written, a list or an object as JSON."""
    TYPED_TEXT = "typed text"
    """A text field whose values are written like those of a declared type."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a source.

    Attributes:
        name: the field's full name.
        kind: how its values are read.
        arrow: their type.
        field_type: the mapping's type.
        path: the field's full name in the documents; another one for a field alias.
        properties: the field's own part of the mapping.
        dates: how its dates are written; None for other kinds, and for formats that only the server reads.
        constant: the value of a constant_keyword.
        declared: whether a recipe's type has replaced the mapping's.
        nested: whether the field lies inside an object.
        searchable: whether a query at the top finds its values.
    """

    name: str
    kind: Kind
    arrow: pa.DataType
    field_type: str
    path: str
    properties: Mapping[str, Any]
    dates: DateFormat | None = None
    constant: str | None = None
    declared: bool = False
    nested: bool = False
    searchable: bool = True

    @property
    def by_server(self) -> bool:
        """Whether the server has to read its dates, in a format that is not known here."""
        return self.kind is Kind.DATE and self.dates is None


_INTEGERS: Final = {"byte": pa.int8(), "short": pa.int16(), "integer": pa.int32(), "long": pa.int64()}
_FLOATS: Final = frozenset({"double", "float", "half_float"})
_TEXTS: Final = frozenset(
    {
        "keyword",
        "text",
        "match_only_text",
        "wildcard",
        "constant_keyword",
        "version",
        "ip",
        "search_as_you_type",
    }
    | {"annotated_text", "icu_collation_keyword", "counted_keyword"}
)
_OBJECTS: Final = frozenset({"object", "nested"})
_DEFAULT_DATES: Final = "strict_date_optional_time||epoch_millis"
_ROOMY_SCALE: Final = 9
_MOST_FACTOR: Final = 10**18


def columns_of(mapping: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of a mapping: the id, then its top-level fields in the mapping's order."""
    top = cast("dict[str, Any]", mapping.get("properties", {}))
    found = [_column(name, properties, mapping) for name, properties in top.items()]
    own = Column(ID, Kind.TEXT, pa.string(), ID, ID, {})
    return (own, *(column for column in found if column is not None))


def inner_columns(mapping: Mapping[str, Any]) -> dict[str, Column]:
    """The fields inside objects, by their full names (customer.id)."""
    found: dict[str, Column] = {}
    for name, properties, searchable in _inner(mapping, "", searchable=True):
        column = _column(name, properties, mapping)
        if column is not None:
            found[name] = replace(column, nested=True, searchable=searchable)
    return found


def _inner(
    node: Mapping[str, Any], prefix: str, *, searchable: bool
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for name, properties in cast("dict[str, Any]", node.get("properties", {})).items():
        if prefix:
            yield prefix + name, properties, searchable
        # The documents of a nested field are apart from those that hold them.
        below = searchable and properties.get("type") != "nested"
        yield from _inner(properties, f"{prefix}{name}.", searchable=below)


def _column(name: str, properties: Mapping[str, Any], mapping: Mapping[str, Any]) -> Column | None:
    field_type = str(properties.get("type", "object"))
    if field_type == "alias":
        target = str(properties.get("path", ""))
        aimed = _find(mapping, target)
        column = None if aimed is None else _column(target, aimed, mapping)
        return (
            None
            if column is None
            else replace(column, name=name, nested="." in target, searchable="." not in target)
        )
    if field_type in _INTEGERS:
        return Column(name, Kind.INTEGER, _INTEGERS[field_type], field_type, name, properties)
    if field_type == "unsigned_long":
        return Column(name, Kind.DECIMAL, pa.decimal128(20, 0), field_type, name, properties)
    if field_type == "scaled_float":
        arrow = _scaled(name, properties.get("scaling_factor"))
        return Column(name, Kind.DECIMAL, arrow, field_type, name, properties)
    if field_type in _FLOATS:
        return Column(name, Kind.FLOAT, pa.float64(), field_type, name, properties)
    if field_type == "boolean":
        return Column(name, Kind.BOOLEAN, pa.bool_(), field_type, name, properties)
    if field_type in ("date", "date_nanos"):
        return _date(name, field_type, properties)
    if field_type == "binary":
        return Column(name, Kind.BINARY, pa.binary(), field_type, name, properties)
    if field_type in _TEXTS:
        value = properties.get("value") if field_type == "constant_keyword" else None
        constant = None if value is None else str(value)
        return Column(name, Kind.TEXT, pa.string(), field_type, name, properties, constant=constant)
    return Column(name, Kind.JSON, pa.string(), field_type, name, properties)


def _find(node: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    fields = cast("dict[str, Any]", node.get("properties", {}))
    if path in fields:
        return cast("Mapping[str, Any]", fields[path])
    head, dot, rest = path.partition(".")
    return _find(fields[head], rest) if dot and head in fields else None


def _scaled(name: str, factor: Any) -> pa.DataType:
    """The decimal whose scale holds every multiple of 1/factor.

    Factors such as 3 have no such scale: then as many digits as the factor has, and a document with
    more is an error like any other misfit.
    """
    number = Decimal(str(factor))
    scale = next((scale for scale in range(19) if (10**scale) % number == 0), None)
    if scale is None and number <= _MOST_FACTOR:
        scale = max(0, (number - 1).adjusted() + 1)
    if scale is None:
        raise KallaError(
            Code.INVALID_DATA,
            f"Field {name!r} is a scaled_float with the scaling factor {factor}, which no decimal can hold; "
            f'declare its type, such as "{name}:decimal(38,18)".',
            field=name,
        )
    return decimal_type(18 if scale <= _ROOMY_SCALE else 38, scale)


def _date(name: str, field_type: str, properties: Mapping[str, Any]) -> Column:
    dates = date_format(str(properties.get("format", _DEFAULT_DATES)))
    if dates is not None and dates.days:
        return Column(name, Kind.DATE, pa.date32(), field_type, name, properties, dates)
    arrow = pa.timestamp("us" if field_type == "date" else "ns", tz="UTC")
    return Column(name, Kind.DATE, arrow, field_type, name, properties, dates)


def redeclare(column: Column, wanted: pa.DataType, what: str) -> Column:
    """The column read as the type that a recipe declares.

    Raises:
        KallaError: SCHEMA_MISMATCH if values could lose something.
    """
    kind = column.kind
    if pa.types.is_string(wanted):
        if kind in (Kind.TEXT, Kind.JSON) and column.name == ID:
            return column
        return replace(column, kind=Kind.DECLARED_TEXT, arrow=wanted, declared=True)
    if wanted == column.arrow:
        return column
    number = pa.types.is_integer(wanted) or pa.types.is_decimal(wanted)
    if kind is Kind.TEXT and not pa.types.is_floating(wanted):
        return replace(column, kind=Kind.TYPED_TEXT, arrow=wanted, declared=True)
    if kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT) and (number or pa.types.is_floating(wanted)):
        new = Kind.INTEGER if pa.types.is_integer(wanted) else Kind.DECIMAL
        return replace(column, kind=new if number else Kind.FLOAT, arrow=wanted, declared=True)
    if kind is Kind.DATE and (pa.types.is_timestamp(wanted) or pa.types.is_date(wanted)):
        return replace(column, arrow=wanted, declared=True)
    raise KallaError(
        Code.SCHEMA_MISMATCH,
        f"Column {column.name!r} of {what} is {type_name(column.arrow)} ({column.field_type}), which cannot "
        f"be read as the declared {type_name(wanted)} without loss; declare its own type, or text.",
        column=column.name,
    )


def same_columns(by_index: Sequence[tuple[str, Sequence[Column]]], what: str) -> None:
    """Require all indices behind one name to have the same columns.

    Raises:
        KallaError: SCHEMA_MISMATCH naming the field and two indices.
    """
    first, expected = by_index[0]
    known = {column.name: column for column in expected}
    for index, columns in by_index[1:]:
        others = {column.name: column for column in columns}
        for name in [*known, *others]:
            one, two = known.get(name), others.get(name)
            if one is None or two is None or _meaning(one) != _meaning(two):
                raise KallaError(
                    Code.SCHEMA_MISMATCH,
                    f"The name {what} stands for several indices whose mappings differ: field {name!r} is "
                    f"{_said(one)} in {first} and {_said(two)} in {index}; name one index.",
                    column=name,
                )


def _meaning(column: Column) -> tuple[object, ...]:
    return column.field_type, column.arrow, column.path, column.constant, column.dates


def _said(column: Column | None) -> str:
    return "missing" if column is None else column.field_type
