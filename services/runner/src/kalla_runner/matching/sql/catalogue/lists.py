"""Functions over lists and structs. Places count from 1, and from the end by negative numbers."""

from __future__ import annotations

from typing import Final

from kalla_runner.matching.sql.catalogue.entry import Entry, Family, Parameter, Signature
from kalla_runner.matching.sql.catalogue.families import LIST, ORDERED, one

_PLACE: Final = one("place", Family.INTEGER)
_DELIMITER: Final = Parameter("delimiter", frozenset({Family.TEXT}), literal=True)
_STRUCT: Final = one("struct", Family.STRUCT)
_NAME: Final = Parameter("name", frozenset({Family.TEXT}), literal=True)
_ITEM: Final = Parameter("value", ORDERED)
# Its list_has_all passes over the NULLs of the second list.
_HAS_ALL: Final = (
    "CASE WHEN {0} IS NOT NULL AND len({1}) <> list_count({1}) THEN false ELSE list_has_all({0}, {1}) END"
)

LIST_FUNCTIONS: Final[tuple[Entry, ...]] = (
    Entry(
        "make_array",
        "scalar",
        "A list of the values; also written [a, b] or ARRAY[a, b].",
        (Signature((_ITEM,), repeated=True, duckdb="[{all}]", result=Family.LIST, alike=True),),
        ("make_list",),
    ),
    Entry(
        "array_length",
        "scalar",
        "The number of elements.",
        (Signature((LIST,), duckdb="len({0})", result=Family.INTEGER),),
        ("list_length", "cardinality"),
    ),
    Entry(
        "array_has",
        "scalar",
        "Whether a value is an element; also written value = ANY(list).",
        (Signature((LIST, _ITEM), duckdb="list_contains({0}, {1})", result=Family.BOOLEAN, alike=True),),
        ("array_contains", "list_has", "list_contains"),
    ),
    Entry(
        "array_has_all",
        "scalar",
        "Whether all elements of the second list are in the first; a NULL is in none.",
        (
            Signature(
                (LIST, LIST),
                duckdb=_HAS_ALL,
                result=Family.BOOLEAN,
                alike=True,
            ),
        ),
        ("list_has_all",),
    ),
    Entry(
        "array_has_any",
        "scalar",
        "Whether an element of the second list is in the first; a NULL is in none.",
        (Signature((LIST, LIST), duckdb="list_has_any({0}, {1})", result=Family.BOOLEAN, alike=True),),
        ("list_has_any", "arrays_overlap"),
    ),
    Entry(
        "array_position",
        "scalar",
        "The place of the first element that equals the value; NULL where there is none.",
        (Signature((LIST, _ITEM), duckdb="list_position({0}, {1})", result=Family.INTEGER, alike=True),),
        ("list_position", "array_indexof", "list_indexof"),
    ),
    Entry(
        "array_element",
        "scalar",
        "The element at a place, NULL outside; also written list[place].",
        (Signature((LIST, _PLACE), duckdb="{0}[{1}]", result=Family.TEXT),),
        ("list_element", "array_extract", "list_extract"),
    ),
    Entry(
        "array_append",
        "scalar",
        "The list with a value at its end.",
        (Signature((LIST, _ITEM), duckdb="list_append({0}, {1})", alike=True),),
        ("list_append", "array_push_back", "list_push_back"),
    ),
    Entry(
        "array_concat",
        "scalar",
        "The elements of both lists.",
        (
            Signature(
                (LIST, LIST),
                duckdb="CASE WHEN coalesce({0}, {1}) IS NOT NULL THEN list_concat({0}, {1}) END",
                alike=True,
            ),
        ),
        ("array_cat", "list_cat", "list_concat"),
    ),
    Entry(
        "array_distinct",
        "scalar",
        "Every element once, in the order of its first place.",
        (Signature((LIST,)),),
        ("list_distinct",),
    ),
    Entry(
        "array_sort",
        "scalar",
        "The elements in ascending order, NULLs first.",
        (Signature((LIST,), duckdb="list_sort({0}, 'ASC', 'NULLS FIRST')"),),
        ("list_sort",),
    ),
    Entry(
        "array_reverse",
        "scalar",
        "The elements in reverse order.",
        (Signature((LIST,), duckdb="list_reverse({0})"),),
        ("list_reverse",),
    ),
    Entry(
        "array_min",
        "scalar",
        "The smallest element.",
        (Signature((LIST,), duckdb="list_min({0})", result=Family.TEXT),),
        ("list_min",),
    ),
    Entry(
        "array_max",
        "scalar",
        "The largest element.",
        (Signature((LIST,), duckdb="list_max({0})", result=Family.TEXT),),
        ("list_max",),
    ),
    Entry(
        "array_remove_all",
        "scalar",
        "The list without the elements that equal the value.",
        (
            Signature(
                (LIST, _ITEM),
                duckdb="CASE WHEN {1} IS NOT NULL THEN "
                "list_filter({0}, lambda v: v IS DISTINCT FROM {1}) END",
                alike=True,
            ),
        ),
        ("list_remove_all",),
    ),
    Entry(
        "array_to_string",
        "scalar",
        "The elements as one text with a delimiter between them; NULLs are left out.",
        (
            Signature(
                (LIST, _DELIMITER),
                duckdb="array_to_string(list_filter({0}, lambda v: v IS NOT NULL), {1})",
                result=Family.TEXT,
            ),
        ),
        ("list_to_string", "array_join", "list_join"),
    ),
    Entry(
        "get_field",
        "scalar",
        "A field of a struct by its name; also written struct['name'].",
        (Signature((_STRUCT, _NAME), duckdb="struct_extract({0}, {1})", result=Family.TEXT),),
    ),
)
