# ruff: noqa: PLC0415 - a program imports only its own library, so that no other one weighs on its process
"""The programs that are compared, each at its honest best. Run in a process of its own:

    python -m benchmarks.programs NAME LEFT RIGHT OUT

A program prints one JSON line: the seconds from the first byte read to the last one written,
without the imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.work import COMPRESSION, THREADS, TOLERANCE


@dataclass(frozen=True)
class Inputs:
    """What a program reads and where it writes."""

    left: Path
    right: Path
    out: Path

    @property
    def csv(self) -> bool:
        """Whether the inputs are CSV files."""
        return self.left.suffix == ".csv"


_DUCKDB_TYPES: Final = {
    "left": "{'invoice_id': 'VARCHAR', 'customer': 'VARCHAR', 'reference': 'VARCHAR', "
    "'amount': 'DECIMAL(12,2)', 'currency': 'VARCHAR', 'invoice_date': 'DATE'}",
    "right": "{'payment_id': 'VARCHAR', 'payer': 'VARCHAR', 'invoice_ref': 'VARCHAR', "
    "'paid_amount': 'DECIMAL(12,2)', 'paid_currency': 'VARCHAR', 'paid_date': 'DATE'}",
}


def _duckdb_read(path: Path, side: str) -> str:
    if path.suffix == ".csv":
        return f"read_csv('{path}', header = true, auto_detect = false, columns = {_DUCKDB_TYPES[side]})"
    return f"read_parquet('{path}')"


def _duckdb_connect() -> Any:
    import duckdb

    return duckdb.connect(config={"threads": THREADS, "preserve_insertion_order": False})


def _duckdb_copy(connection: Any, query: str, path: Path) -> None:
    options = f"FORMAT parquet, COMPRESSION {COMPRESSION}"
    connection.execute(f"COPY ({query}) TO '{path}' ({options})")


_DUCKDB_ON: Final = f"l.reference = r.invoice_ref AND abs(l.amount - r.paid_amount) <= {TOLERANCE}"


def duckdb_full_join(inputs: Inputs) -> None:
    """DuckDB: one full join into a temporary table, then three COPYs from it."""
    left, right = _duckdb_read(inputs.left, "left"), _duckdb_read(inputs.right, "right")
    with _duckdb_connect() as connection:
        connection.execute(
            f"CREATE TEMP TABLE joined AS SELECT l.*, r.* FROM {left} l FULL JOIN {right} r ON {_DUCKDB_ON}"
        )
        both = "invoice_id IS NOT NULL AND payment_id IS NOT NULL"
        _duckdb_copy(connection, f"SELECT * FROM joined WHERE {both}", inputs.out / "matched.parquet")
        for name, present, absent in (
            (
                "unmatched_left",
                "invoice_id, customer, reference, amount, currency, invoice_date",
                "payment_id",
            ),
            (
                "unmatched_right",
                "payment_id, payer, invoice_ref, paid_amount, paid_currency, paid_date",
                "invoice_id",
            ),
        ):
            query = f"SELECT {present} FROM joined WHERE {absent} IS NULL"
            _duckdb_copy(connection, query, inputs.out / f"{name}.parquet")


def duckdb_three_queries(inputs: Inputs) -> None:
    """DuckDB: a join and two anti-joins; CSV inputs are loaded once first."""
    left, right = _duckdb_read(inputs.left, "left"), _duckdb_read(inputs.right, "right")
    with _duckdb_connect() as connection:
        if inputs.csv:
            connection.execute(f"CREATE TEMP TABLE l AS SELECT * FROM {left}")
            connection.execute(f"CREATE TEMP TABLE r AS SELECT * FROM {right}")
            left, right = "l", "r"
        matched = f"SELECT l.*, r.* FROM {left} l JOIN {right} r ON {_DUCKDB_ON}"
        _duckdb_copy(connection, matched, inputs.out / "matched.parquet")
        for name, kept, other in (("left", f"{left} l", f"{right} r"), ("right", f"{right} r", f"{left} l")):
            query = f"SELECT * FROM {kept} WHERE NOT EXISTS (FROM {other} WHERE {_DUCKDB_ON})"
            _duckdb_copy(connection, query, inputs.out / f"unmatched_{name}.parquet")


def _polars_scan(path: Path, side: str) -> Any:
    import polars as pl

    if path.suffix != ".csv":
        return pl.scan_parquet(path)
    text, money = pl.String(), pl.Decimal(12, 2)
    schema = {
        "left": {"invoice_id": text, "customer": text, "reference": text, "amount": money},
        "right": {"payment_id": text, "payer": text, "invoice_ref": text, "paid_amount": money},
    }[side] | {
        "left": {"currency": text, "invoice_date": pl.Date()},
        "right": {"paid_currency": text, "paid_date": pl.Date()},
    }[side]
    return pl.scan_csv(path, schema=schema)


def polars_lazy(inputs: Inputs) -> None:
    """Polars: inputs collected once, join and filter, two anti-joins on the ids, three sinks."""
    from decimal import Decimal

    import polars as pl

    left, right = pl.collect_all([_polars_scan(inputs.left, "left"), _polars_scan(inputs.right, "right")])
    pairs = left.lazy().join(right.lazy(), left_on="reference", right_on="invoice_ref", coalesce=False)
    near = (pl.col("amount") - pl.col("paid_amount")).abs() <= pl.lit(Decimal(TOLERANCE))
    matched = pairs.filter(near).collect(engine="streaming")
    sinks = [
        frame.sink_parquet(
            inputs.out / f"{name}.parquet",
            compression=COMPRESSION,
            maintain_order=False,
            lazy=True,
        )
        for name, frame in (
            ("matched", matched.lazy()),
            ("unmatched_left", left.lazy().join(matched.lazy(), on="invoice_id", how="anti")),
            ("unmatched_right", right.lazy().join(matched.lazy(), on="payment_id", how="anti")),
        )
    ]
    pl.collect_all(sinks, engine="streaming")


def datacompy_polars(inputs: Inputs) -> None:
    """Compare by datacompy: the n-th row of a reference with the n-th, tolerance through floats."""
    import datacompy
    import polars as pl

    left, right = pl.collect_all([_polars_scan(inputs.left, "left"), _polars_scan(inputs.right, "right")])
    right = right.rename({"invoice_ref": "reference", "paid_amount": "amount"})
    compare = datacompy.PolarsCompare(left, right, "reference", abs_tol=float(TOLERANCE))
    pairs = compare.intersect_rows
    near = pairs.filter(pl.col("amount_match"))
    far = pairs.filter(~pl.col("amount_match"))
    own_left = {c: c if c == "reference" else f"{c}_df1" for c in left.columns}
    own_right = {c: c if c == "reference" else f"{c}_df2" for c in right.columns}
    names = {c: (c if c in pairs.columns else own_left[c]) for c in left.columns}
    other = {c: (c if c in pairs.columns else own_right[c]) for c in right.columns}
    pick_left = [pl.col(names[c]).alias(c) for c in left.columns]
    back = {"reference": "invoice_ref", "amount": "paid_amount"}
    pick_right = [pl.col(other[c]).alias(back.get(c, c)) for c in right.columns]
    frames = {
        "matched": near.select(pick_left + pick_right),
        "unmatched_left": pl.concat([compare.df1_unq_rows.select(left.columns), far.select(pick_left)]),
        "unmatched_right": pl.concat(
            [compare.df2_unq_rows.select(right.columns).rename(back), far.select(pick_right)]
        ),
    }
    for name, frame in frames.items():
        path = inputs.out / f"{name}.parquet"
        frame.write_parquet(path, compression=COMPRESSION)


def floor(inputs: Inputs) -> None:
    """DataFusion: every input row read and written to Parquet, no join; as many cells as the outputs."""
    import pyarrow as pa
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(THREADS))
    money, text = pa.decimal128(12, 2), pa.string()
    schemas = {
        "left": [
            ("invoice_id", text),
            ("customer", text),
            ("reference", text),
            ("amount", money),
            ("currency", text),
            ("invoice_date", pa.date32()),
        ],
        "right": [
            ("payment_id", text),
            ("payer", text),
            ("invoice_ref", text),
            ("paid_amount", money),
            ("paid_currency", text),
            ("paid_date", pa.date32()),
        ],
    }
    for side, path in (("left", inputs.left), ("right", inputs.right)):
        if inputs.csv:
            context.register_csv(side, str(path), schema=pa.schema(schemas[side]))
        else:
            context.register_parquet(side, str(path))
        # Without dictionaries, as the engine writes: with them it takes half as long again.
        options = f"'format.compression' '{COMPRESSION}', 'format.dictionary_enabled' 'false'"
        out = inputs.out / f"{side}.parquet"
        context.sql(f"COPY {side} TO '{out}' STORED AS PARQUET OPTIONS ({options})").collect()


def kalla_engine(inputs: Inputs) -> None:
    """Kalla's engine: stage, match, prove and write, in one process."""
    from benchmarks import kalla_engine as engine

    engine.run(inputs.left, inputs.right, inputs.out)


def kalla_engine_with_witness(inputs: Inputs) -> None:
    """The same, and DuckDB answers the question once more on the staged rows."""
    from benchmarks import kalla_engine as engine

    engine.run(inputs.left, inputs.right, inputs.out, with_witness=True)


PROGRAMS: Final[dict[str, Callable[[Inputs], None]]] = {
    "kalla-engine": kalla_engine,
    "kalla-engine + witness": kalla_engine_with_witness,
    "duckdb-full-join": duckdb_full_join,
    "duckdb-three-queries": duckdb_three_queries,
    "polars": polars_lazy,
    "datacompy": datacompy_polars,
    "floor": floor,
}


def _import_first(name: str) -> None:
    """Keep import times out of the measurement."""
    library = name.partition("-")[0]
    modules = {"floor": "datafusion", "kalla": "benchmarks.kalla_engine"}
    __import__(modules.get(library, library))


def main() -> None:
    name, left, right, out = sys.argv[1:]
    os.environ.setdefault("POLARS_MAX_THREADS", str(THREADS))
    _import_first(name)
    begin, cpu = time.perf_counter(), time.process_time()
    PROGRAMS[name](Inputs(Path(left), Path(right), Path(out)))
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "cpu_seconds": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
