"""Tables that the tests of match SQL plan against, and ways to run a plan on rows in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from datafusion import SessionContext
from kalla_common.errors import KallaError
from kalla_runner.matching.check import plan_match
from kalla_runner.matching.plan import LEFT_ROW, RIGHT_ROW, ROW_COLUMN, MatchPlan, TableInfo
from kalla_runner.matching.session import new_session
from kalla_runner.matching.sql.dialect import quoted
from kalla_runner.matching.stable import stable_frame
from kalla_runner.matching.struct_nulls import with_null_fields

INVOICES = TableInfo(
    "invoices",
    pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("invoice_id", pa.string()),
            pa.field("Amount", pa.decimal128(12, 2)),
            pa.field("due", pa.date32()),
            pa.field("seen", pa.timestamp("us")),
            pa.field("zoned", pa.timestamp("us", tz="UTC")),
            pa.field("paid", pa.bool_()),
            pa.field("ratio", pa.float64()),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("wide", pa.decimal128(38, 0)),
        ]
    ),
    ("invoice_id",),
)
PAYMENTS = TableInfo(
    "payments",
    pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("payment_id", pa.string()),
            pa.field("reference", pa.string()),
            pa.field("amount", pa.decimal128(12, 2)),
            pa.field("due", pa.date32()),
            pa.field("fine", pa.decimal128(38, 10)),
            pa.field("ratio", pa.float64()),
            pa.field("ratio32", pa.float32()),
            pa.field("small", pa.int16()),
        ]
    ),
    ("payment_id",),
)
RATES = TableInfo(
    "rates", pa.schema([("currency", pa.string()), ("id", pa.int64()), ("rate", pa.decimal128(10, 4))])
)


def plan(
    sql: str,
    left: TableInfo = INVOICES,
    right: TableInfo = PAYMENTS,
    lookups: Sequence[TableInfo] = (RATES,),
    *,
    allow_quadratic: bool = False,
) -> MatchPlan:
    return plan_match(sql, left, right, lookups, allow_quadratic=allow_quadratic)


def refused(sql: str, left: TableInfo = INVOICES, right: TableInfo = PAYMENTS) -> KallaError:
    try:
        accepted = plan(sql, left, right)
    except KallaError as error:
        return error
    raise AssertionError(f"accepted: {accepted.sql}")


def info(alias: str, table: pa.Table, *key: str) -> TableInfo:
    return TableInfo(alias, table.schema, key, table.num_rows)


def session_with(tables: dict[str, pa.Table]) -> SessionContext:
    """Rows under their aliases, numbered as the one_pass path wants them."""
    session = new_session()
    for name, table in tables.items():
        loaded = pa.Table.from_batches(with_null_fields(table.to_batches(), table.schema), table.schema)
        numbers = pa.array(range(table.num_rows), pa.uint64())
        numbered = loaded.append_column(pa.field(ROW_COLUMN, pa.uint64()), numbers)
        batches = numbered.to_batches() or [
            pa.record_batch([pa.array([], f.type) for f in numbered.schema], schema=numbered.schema)
        ]
        session.register_record_batches(quoted(name), [batches])
    return session


def run(
    sql: str,
    left: pa.Table,
    right: pa.Table,
    left_key: Sequence[str] = ("id",),
    right_key: Sequence[str] = ("id",),
) -> tuple[MatchPlan, list[dict[str, object]]]:
    """Plan over tables `l` and `r` and run; rows without the hidden columns."""
    made = plan_match(sql, info("l", left, *left_key), info("r", right, *right_key), allow_quadratic=True)
    tables = {"l": left, "r": right}
    tables |= {name: left if name == "left_src" else right for name in made.uses_side_names}
    rows = stable_frame(session_with(tables), made.sql)[0].to_arrow_table()
    hidden = [LEFT_ROW, RIGHT_ROW] if made.path == "one_pass" else []
    assert rows.column_names == [*made.output_columns, *hidden]
    return made, rows.select(list(made.output_columns)).to_pylist()
