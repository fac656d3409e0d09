"""The columns of `matched`, the keys among them, and the rows that the plan yields."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from kalla_common.errors import Code
from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, TableInfo

from tests.unit.runner.matching.sql.tables import plan, refused, run, session_with

JOIN = "FROM invoices l JOIN payments r ON l.id = r.id"


@pytest.mark.parametrize(
    ("columns", "names", "added"),
    [
        ("l.invoice_id, r.payment_id", ("invoice_id", "payment_id"), ()),
        ("l.id, r.id", ("left_id", "right_id", "invoice_id", "payment_id"), ("invoice_id", "payment_id")),
        (
            "l.id, r.id, k.id",
            ("left_id", "right_id", "k_id", "invoice_id", "payment_id"),
            ("invoice_id", "payment_id"),
        ),
        (
            "l.id, r.id, l.due AS left_id",
            ("left_id_2", "right_id", "left_id", "invoice_id", "payment_id"),
            ("invoice_id", "payment_id"),
        ),
        ("l.amount, r.amount", ("left_Amount", "right_amount", "invoice_id", "payment_id"), None),
        (
            "l.id AS invoice_id",
            ("invoice_id", "left_invoice_id", "payment_id"),
            ("left_invoice_id", "payment_id"),
        ),
        (
            "count(*) OVER () , l.id + 1, l.due::text",
            ("count", "column2", "due", "invoice_id", "payment_id"),
            None,
        ),
        ("CAST(l.invoice_id AS TEXT) AS k", ("k", "invoice_id", "payment_id"), None),
        ('l.id AS "a""b", r.payment_id AS MyId', ('a"b', "MyId", "invoice_id"), ("invoice_id",)),
    ],
)
def test_outputs_are_named_apart_and_keys_are_added(
    columns: str, names: tuple[str, ...], added: tuple[str, ...] | None
) -> None:
    made = plan(f"SELECT {columns} {JOIN} LEFT JOIN rates k ON k.id = l.id")
    assert made.output_columns == names
    if added is not None:
        assert made.added_columns == added
    assert made.path == "one_pass"


def test_stars_are_written_out_without_hidden_columns() -> None:
    made = plan(f"SELECT * {JOIN}")
    assert made.output_columns[:3] == ("left_id", "invoice_id", "left_Amount")
    assert not [n for n in made.output_columns if n.startswith("__kalla")]
    made = plan(f"SELECT r.* {JOIN}")
    assert made.output_columns[-1] == "invoice_id"
    assert made.added_columns == ("invoice_id",)


COMPOSITE_LEFT = pa.table({"id": [1, 1, 2, None], "part": ["a", "b", "a", "a"], "v": [10, 11, 20, 30]})
COMPOSITE_RIGHT = pa.table({"id": [1, 1, 2, 3], "part": ["a", "b", "b", "a"], "w": [100, 101, 200, 300]})


def test_trap_05_all_columns_of_composite_keys_of_the_same_names_are_kept_apart() -> None:
    keys = ("id", "part")
    made, rows = run(
        "SELECT l.v, r.w FROM l JOIN r ON l.id = r.id", COMPOSITE_LEFT, COMPOSITE_RIGHT, keys, keys
    )
    assert made.left_key_columns == ("left_id", "left_part")
    assert made.right_key_columns == ("right_id", "right_part")
    assert sorted((r["left_part"], r["right_part"], r["v"], r["w"]) for r in rows) == [
        ("a", "a", 10, 100),
        ("a", "b", 10, 101),
        ("a", "b", 20, 200),
        ("b", "a", 11, 100),
        ("b", "b", 11, 101),
    ]


def test_trap_05_a_key_is_complete_only_within_one_use_of_its_table() -> None:
    keys = ("id", "part")
    sql = (
        "SELECT DISTINCT a.id, b.part, r.id AS rid, r.part AS rpart "
        "FROM l a JOIN l b ON a.id = b.id JOIN r ON r.id = a.id"
    )
    left, right = TableInfo("l", COMPOSITE_LEFT.schema, keys), TableInfo("r", COMPOSITE_RIGHT.schema, keys)
    assert refused(sql, left, right).code is Code.KEYS_NOT_SELECTED


GATHERED_ALIKE = [
    "array_agg(r.id) a, array_agg(r.part) b",
    "array_agg(r.id ORDER BY r.w) a, array_agg(r.part ORDER BY r.w) b",
    "array_agg(r.id) FILTER (WHERE r.w > 100) a, array_agg(r.part) FILTER (WHERE r.w > 100) b",
]
GATHERED_APART = [
    "array_agg(r.id ORDER BY r.id) a, array_agg(r.part ORDER BY r.part) b",
    "array_agg(r.id ORDER BY r.w) a, array_agg(r.part ORDER BY r.w DESC) b",
    "array_agg(DISTINCT r.id) a, array_agg(DISTINCT r.part) b",
    "array_agg(r.id) a, array_agg(r.part) FILTER (WHERE r.w > 100) b",
    "array_agg(r.id) FILTER (WHERE r.w > 100) a, array_agg(r.part) FILTER (WHERE r.w < 100) b",
]


@pytest.mark.parametrize("lists", [*GATHERED_ALIKE, *GATHERED_APART])
def test_trap_05_lists_are_a_composite_key_only_if_all_gather_the_same_rows_in_the_same_order(
    lists: str,
) -> None:
    keys = ("id", "part")
    left, right = TableInfo("l", COMPOSITE_LEFT.schema, keys), TableInfo("r", COMPOSITE_RIGHT.schema, keys)
    sql = f"SELECT l.id, l.part, {lists} FROM l JOIN r ON l.id = r.id GROUP BY l.id, l.part"
    if lists in GATHERED_ALIKE:
        assert plan(sql, left, right).right_key_columns == ("a", "b")
    else:
        assert refused(sql, left, right).code is Code.KEYS_NOT_SELECTED


def test_lists_of_one_key_column_may_be_ordered_filtered_and_distinct() -> None:
    call = "array_agg(DISTINCT r.payment_id) FILTER (WHERE r.amount > 0)"
    made = plan(f"SELECT l.invoice_id, {call} AS ids {JOIN} GROUP BY l.invoice_id")
    assert made.right_key_columns == ("ids",)
    both = f"{call} AS some, array_agg(r.payment_id) AS ids"
    assert "2 times" in refused(f"SELECT l.invoice_id, {both} {JOIN} GROUP BY l.invoice_id").message


@pytest.mark.parametrize(
    ("sql", "part"),
    [
        (f"SELECT DISTINCT l.due {JOIN}", "add l.invoice_id to SELECT DISTINCT"),
        (f"SELECT l.due, count(*) {JOIN} GROUP BY l.due", "add l.invoice_id to SELECT and GROUP BY"),
        (
            f"SELECT l.invoice_id, sum(r.amount) {JOIN} GROUP BY l.invoice_id",
            "array_agg(r.payment_id) to SELECT",
        ),
        (f"SELECT max(l.due) {JOIN}", "add l.invoice_id"),
        (
            f"SELECT l.invoice_id {JOIN} UNION ALL SELECT l.invoice_id {JOIN}",
            "add r.payment_id|payments.payment_id",
        ),
        (
            "SELECT l.invoice_id FROM invoices l WHERE l.id IN (SELECT id FROM payments)",
            "payments.payment_id",
        ),
        (
            "SELECT l.invoice_id FROM invoices l LEFT SEMI JOIN payments r ON l.id = r.id",
            "payments.payment_id",
        ),
        (
            f"SELECT DISTINCT CAST(l.invoice_id AS TEXT) AS invoice_id, r.payment_id {JOIN}",
            "add l.invoice_id",
        ),
        (
            "SELECT a.due FROM invoices a JOIN invoices b ON a.id = b.id JOIN payments r ON r.id = a.id",
            "more than once",
        ),
    ],
)
def test_trap_06_keys_that_cannot_be_added_are_asked_for_by_name(sql: str, part: str) -> None:
    error = refused(sql)
    assert error.code is Code.KEYS_NOT_SELECTED
    assert any(p in error.message for p in part.split("|")), error.message


@pytest.mark.parametrize(
    ("sql", "left", "right"),
    [
        (f"SELECT DISTINCT l.invoice_id, r.payment_id {JOIN}", "invoice_id", "payment_id"),
        (
            f"SELECT l.invoice_id, array_agg(r.payment_id) AS ids {JOIN} GROUP BY l.invoice_id",
            "invoice_id",
            "ids",
        ),
        (f"SELECT array_agg(l.invoice_id), min(r.payment_id) {JOIN} GROUP BY l.due", "array_agg", "min"),
        (
            f"SELECT l.invoice_id a, r.payment_id b {JOIN} UNION SELECT l.invoice_id, r.payment_id {JOIN}",
            "a",
            "b",
        ),
        (
            f"SELECT l.invoice_id, r.payment_id {JOIN} EXCEPT SELECT 'a', 'b' {JOIN}",
            "invoice_id",
            "payment_id",
        ),
    ],
)
def test_keys_are_found_through_queries_and_lists_on_the_general_path(
    sql: str, left: str, right: str
) -> None:
    made = plan(sql)
    assert made.path == "general"
    assert made.left_key_columns == (left,)
    assert made.right_key_columns == (right,)
    assert LEFT_ROW not in made.sql


@pytest.mark.parametrize(
    ("sql", "left", "right"),
    [
        (
            (
                "WITH p AS (SELECT payment_id AS pid, id FROM payments WHERE amount > 0) "
                "SELECT l.due FROM invoices l JOIN p ON p.id = l.id"
            ),
            "invoice_id",
            "pid",
        ),
        (
            (
                "SELECT x.invoice_id, payment_id "
                "FROM (SELECT * FROM invoices ORDER BY invoice_id LIMIT 5) x JOIN payments r ON r.id = x.id"
            ),
            "invoice_id",
            "payment_id",
        ),
    ],
)
def test_keys_and_rows_are_found_through_queries_that_keep_the_rows_of_a_side_apart(
    sql: str, left: str, right: str
) -> None:
    made = plan(sql)
    assert made.path == "one_pass"
    assert made.left_key_columns == (left,)
    assert made.right_key_columns == (right,)
    assert made.join_keys == (('"id"', '"id"'),)


LEFT = pa.table({"id": [1, 2, 3, None, 5], "k": ["a", "b", None, "a", "e"], "x": [1, 2, 3, 4, 5]})
RIGHT = pa.table({"id": [10, 20, None, 40], "k": ["a", None, "a", "b"], "y": [1, 2, 3, 4]})
PAIRS = [(1, 10), (2, 40)]


@pytest.mark.parametrize(
    "join", ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "INNER JOIN", "FULL OUTER JOIN"]
)
def test_trap_07_rows_with_a_missing_key_are_never_matched_rows(join: str) -> None:
    made, rows = run(f"SELECT l.x, r.y FROM l {join} r ON l.k = r.k", LEFT, RIGHT)
    assert made.path == "one_pass"
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == PAIRS


@pytest.mark.parametrize(
    ("condition", "pairs"),
    [
        ("l.x IS DISTINCT FROM 1", [(2, 40)]),
        ("l.x IS NOT DISTINCT FROM r.y", [(1, 10)]),
        ("l.x IS DISTINCT FROM r.y", [(2, 40)]),
    ],
)
def test_what_is_added_to_a_condition_does_not_become_part_of_it(
    condition: str, pairs: list[tuple[int, int]]
) -> None:
    for query in (f"JOIN r ON l.k = r.k WHERE {condition}", f"JOIN r ON l.k = r.k AND {condition}"):
        _, rows = run(f"SELECT l.x FROM l {query}", LEFT, RIGHT)
        assert sorted((r["left_id"], r["right_id"]) for r in rows) == pairs


def test_row_numbers_name_the_rows_that_matched() -> None:
    made, _ = run("SELECT l.x FROM l JOIN r ON l.k = r.k", LEFT, RIGHT)
    rows = session_with({"l": LEFT, "r": RIGHT}).sql(made.sql).to_arrow_table()
    assert sorted(zip(rows[LEFT_ROW].to_pylist(), rows[RIGHT_ROW].to_pylist(), strict=True)) == [
        (0, 0),
        (1, 3),
    ]
    assert rows.schema.field(LEFT_ROW).type == pa.uint64()


def test_a_limit_counts_the_rows_of_the_query_and_not_only_matched_ones() -> None:
    sql = "SELECT l.x FROM l LEFT JOIN r ON l.k = r.k ORDER BY l.x DESC LIMIT 5"
    made, rows = run(sql, LEFT, RIGHT)
    assert made.path == "one_pass"
    assert [(r["left_id"], r["right_id"]) for r in rows] == [(2, 40)]


def test_a_window_sees_all_rows_of_the_query() -> None:
    sql = (
        "SELECT l.x, count(*) OVER () AS n, row_number() OVER (ORDER BY l.x) AS i "
        "FROM l LEFT JOIN r ON l.k = r.k"
    )
    _, rows = run(sql, LEFT, RIGHT)
    assert sorted((r["x"], r["n"], r["i"]) for r in rows) == [(1, 7, 1), (2, 7, 3)]


def test_qualify_picks_before_missing_keys_are_left_out() -> None:
    sql = (
        "SELECT l.x, r.y FROM l LEFT JOIN r ON l.k = r.k "
        "QUALIFY row_number() OVER (PARTITION BY l.x ORDER BY r.y DESC) = 1"
    )
    _, rows = run(sql, LEFT, RIGHT)
    assert sorted((r["x"], r["y"]) for r in rows) == [(2, 4)]


def test_trap_20_duplicate_keys_give_every_pair_on_both_paths() -> None:
    twice = pa.table({"id": [1, 1, 2], "k": ["a", "a", "b"]})
    one_pass, rows = run("SELECT l.k FROM l JOIN r ON l.k = r.k", twice, twice)
    assert one_pass.path == "one_pass"
    assert sorted((r["left_id"], r["right_id"]) for r in rows) == [(1, 1)] * 4 + [(2, 2)]
    general, rows = run(
        "SELECT l.id, array_agg(r.id) AS ids FROM l JOIN r ON l.k = r.k GROUP BY l.id", twice, twice
    )
    assert general.path == "general"
    assert sorted((r["id"], r["ids"]) for r in rows) == [(1, [1, 1, 1, 1]), (2, [2])]


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ("l.id = r.id", (('"id"', '"id"'),)),
        (
            "r.reference = lower(l.invoice_id) AND l.due = r.due",
            (('lower("invoice_id")', '"reference"'), ('"due"', '"due"')),
        ),
        ("l.id = r.id AND (l.due = r.due OR l.paid)", (('"id"', '"id"'),)),
        ("l.id = 1 AND r.id = 1 AND l.id < r.id", ()),
        ("l.id + r.id = 0 AND l.amount = r.amount", (('"Amount"', '"amount"'),)),
    ],
)
def test_the_equalities_between_the_sides_are_named(
    condition: str, keys: tuple[tuple[str, str], ...]
) -> None:
    made = plan(
        f"SELECT l.invoice_id, r.payment_id FROM invoices l JOIN payments r ON {condition}",
        allow_quadratic=True,
    )
    assert made.join_keys == keys
    made = plan(f"SELECT 1 FROM invoices l, payments r WHERE {condition}", allow_quadratic=True)
    assert made.join_keys == keys


def test_lookups_join_on_the_one_pass_path() -> None:
    made = plan(
        "SELECT l.amount * k.rate AS converted FROM invoices l JOIN rates k ON k.id = l.id "
        "JOIN payments r ON l.invoice_id = r.reference AND tolerance_match(l.amount * k.rate, r.amount, 0.01)"
    )
    assert made.path == "one_pass"
    assert made.join_keys == (('"invoice_id"', '"reference"'),)


def test_values_survive_exactly() -> None:
    money = pa.decimal128(38, 2)
    left = pa.table({"id": ["001", "1"], "v": pa.array([Decimal("0.10"), Decimal(10**35)], money)})
    right = pa.table({"id": ["001", "01"], "v": pa.array([Decimal("0.10"), Decimal(10**35)], money)})
    _, rows = run("SELECT l.v FROM l JOIN r ON l.v = r.v", left, right)
    assert sorted((r["left_id"], r["right_id"], r["v"]) for r in rows) == [
        ("001", "001", Decimal("0.10")),
        ("1", "01", Decimal(10**35)),
    ]
