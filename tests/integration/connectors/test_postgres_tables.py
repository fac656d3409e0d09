"""Every kind of table-like thing, any name, any column, any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.postgres.address import Name, parse_address
from kalla_runner.connectors.postgres.catalog import find_relation
from kalla_runner.connectors.postgres.slices import slices_of
from kalla_runner.connectors.postgres.snapshot import snapshot_of
from kalla_runner.connectors.registry import open_source
from psycopg import sql

from tests.integration.connectors.postgres_tables import (
    Database,
    only,
    opened_database,
    read,
    stage,
    table_of,
    values_of,
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened_database(database_url) as database:
        yield database


def partitioned(database: Database) -> None:
    """Three levels, an empty default partition, a partition with columns in another order."""
    database.run(
        "CREATE TABLE tree (id int, v text, w numeric(8,2)) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF tree FOR VALUES FROM (0) TO (1000)",
        "CREATE TABLE high PARTITION OF tree FOR VALUES FROM (1000) TO (9000) PARTITION BY HASH (id)",
        "CREATE TABLE high_a PARTITION OF high FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE high_b (w numeric(8,2), gone int, v text, id int)",
        "ALTER TABLE high_b DROP COLUMN gone",
        "ALTER TABLE high ATTACH PARTITION high_b FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE TABLE rest PARTITION OF tree DEFAULT",
        "INSERT INTO tree SELECT g, 'v' || g, g / 100.0 FROM generate_series(1, 5000) g",
    )


def test_trap_09_a_partitioned_table_is_read_leaf_by_leaf_with_no_row_lost(
    database: Database, tmp_path: Path
) -> None:
    partitioned(database)
    with database.source("tree") as source:
        staged = source.stage(tmp_path, lambda _: None)
        assert len(staged.files) == 4
        assert source.count() == staged.row_count == 5000
        table = stage(source, tmp_path)
        assert sorted(values_of(table, "id")) == list(range(1, 5001))
        assert all(row["v"] == f"v{row['id']}" for row in table.to_pylist())
        assert sorted(values_of(read(source), "id")) == list(range(1, 5001))
    with database.source("tree", only("id", "between", 990, 1010)) as source:
        assert sorted(values_of(stage(source, tmp_path / "f"), "id")) == list(range(990, 1011))
        assert source.count() == 21


def test_trap_09_partitions_that_the_user_may_not_read_are_read_through_their_parent(
    database: Database, tmp_path: Path
) -> None:
    partitioned(database)
    database.run("CREATE ROLE reader LOGIN PASSWORD 'secret'", "GRANT SELECT ON tree TO reader")
    try:
        database_url = database.url
        database.url = "postgresql://reader:secret@" + database_url.partition("@")[2]
        with database.source("tree") as source:
            assert sorted(values_of(stage(source, tmp_path), "id")) == list(range(1, 5001))
    finally:
        database.run("DROP OWNED BY reader", "DROP ROLE reader")


def test_trap_09_a_partitioned_table_without_partitions_is_empty(database: Database, tmp_path: Path) -> None:
    database.run("CREATE TABLE tree (id int) PARTITION BY RANGE (id)")
    with database.source("tree") as source:
        assert stage(source, tmp_path).num_rows == source.count() == 0


def test_trap_09_views_and_materialized_views_are_read_whole(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE TABLE x AS SELECT g AS id, (g / 7.0)::numeric AS v FROM generate_series(1, 3000) g",
        "CREATE VIEW a AS SELECT id, v, sum(v) OVER (ORDER BY id) AS running FROM x",
        "CREATE MATERIALIZED VIEW b AS SELECT * FROM x WHERE id > 10",
    )
    with database.source("a") as source:
        table = stage(source, tmp_path / "a")
        assert values_of(table, "id") == list(range(1, 3001))
        assert table == read(source)
    with database.source("b", only("id", "lte", 20)) as source:
        assert values_of(stage(source, tmp_path / "b"), "id") == list(range(11, 21))


def test_trap_09_a_table_with_children_is_read_with_them(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE TABLE parent (id int)",
        "CREATE TABLE child (extra text) INHERITS (parent)",
        "INSERT INTO parent SELECT g FROM generate_series(1, 100) g",
        "INSERT INTO child SELECT g, 'x' FROM generate_series(101, 5000) g",
    )
    with database.source("parent") as source:
        assert sorted(values_of(stage(source, tmp_path), "id")) == list(range(1, 5001))
        assert source.schema().names == ["id"]


def test_trap_09_foreign_tables_and_foreign_partitions_are_one_stream_each(database: Database) -> None:
    # The server under test brings no wrapper that could read, so the plan is looked at.
    database.run(
        "CREATE FOREIGN DATA WRAPPER nowhere",
        "CREATE SERVER far FOREIGN DATA WRAPPER nowhere",
        "CREATE FOREIGN TABLE away (id int) SERVER far",
        "CREATE TABLE tree (id int) PARTITION BY RANGE (id)",
        "CREATE FOREIGN TABLE far_part PARTITION OF tree FOR VALUES FROM (0) TO (9) SERVER far",
        "CREATE TABLE near_part PARTITION OF tree DEFAULT",
        "INSERT INTO near_part SELECT g FROM generate_series(100, 200000) g",
    )
    with ReadSession((), 1) as session:
        snapshot = snapshot_of(parse_address(database.uri("away")), session)
        away = slices_of(snapshot, find_relation(snapshot, None, Name("away")), 1)
        assert [part.condition.as_string(None) for part in away] == ["true"]
        tree = slices_of(snapshot, find_relation(snapshot, None, Name("tree")), 1)
        tables = [part.table.as_string(None) for part in tree]
        assert tables.count('"public"."far_part"') == 1
        assert tables.count('ONLY "public"."near_part"') > 1


def test_trap_09_slices_cover_every_page_once(database: Database) -> None:
    database.run("CREATE TABLE x (id int)", "INSERT INTO x SELECT g FROM generate_series(1, 500000) g")
    with ReadSession((), 2) as session:
        snapshot = snapshot_of(parse_address(database.uri("x")), session)
        parts = slices_of(snapshot, find_relation(snapshot, None, Name("x")), 2)
        counts = [
            snapshot.query(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(part.table, part.condition))[0][
                0
            ]
            for part in parts
        ]
    assert len(parts) == 8
    assert sum(counts) == 500_000
    assert max(counts) < 1.1 * min(counts)


def test_names_need_no_special_care(database: Database, tmp_path: Path) -> None:
    database.run(
        'CREATE SCHEMA "My ""S.x"',
        'CREATE TABLE "My ""S.x"."T able.%s" ("a b" int, "q""q" int, "UPPER" int, "\u00fc\u20ac" int,'
        ' "%s{}" int, dropped int)',
        'ALTER TABLE "My ""S.x"."T able.%s" DROP COLUMN dropped',
        'INSERT INTO "My ""S.x"."T able.%s" VALUES (1, 2, 3, 4, 5)',
    )
    wanted = [{"a b": 1, 'q"q': 2, "UPPER": 3, "\u00fc\u20ac": 4, "%s{}": 5}]
    filters = [only(name, "eq", number) for name, number in wanted[0].items()]
    with database.source('"My ""S.x"."T able.%s"', *filters) as source:
        assert stage(source, tmp_path).to_pylist() == wanted
        assert read(source).to_pylist() == wanted
    uri = database.uri('"T able.%s"', schema='My "S.x')
    with ReadSession(()) as session:
        assert open_source(SourceSpec("x", uri), session).count() == 1


def test_a_plain_table_name_finds_the_table_whatever_its_case(database: Database) -> None:
    database.run('CREATE TABLE "Invoices" (v int)', "CREATE TABLE payments (v int)")
    for name in ("Invoices", "invoices", "PUBLIC.INVOICES"):
        with database.source(name) as source:
            assert source.pin["table"] == "public.Invoices"
    with database.source("Payments") as source:
        assert source.pin["table"] == "public.payments"
    database.run('CREATE TABLE "INVOICES" (v int)')
    with pytest.raises(KallaError, match="in quotes"), database.source("invoices"):
        pass


def test_the_search_path_decides_between_schemas(database: Database) -> None:
    database.run("CREATE SCHEMA s", "CREATE TABLE s.x (v int)", "CREATE TABLE x (v int)")
    with database.source("x") as source:
        assert source.pin["table"] == "public.x"
    with database.source("x", options="-c search_path=s,public") as source:
        assert source.pin["table"] == "s.x"
    with database.source("s.x") as source:
        assert source.pin["table"] == "s.x"


@pytest.mark.parametrize(
    ("table", "hint"), [("invoice", "public.invoices"), ("sales", "shop.sales"), ("zzz", "it has the tables")]
)
def test_a_missing_table_names_similar_ones(database: Database, table: str, hint: str) -> None:
    database.run("CREATE TABLE invoices (v int)", "CREATE SCHEMA shop", "CREATE TABLE shop.sales (v int)")
    with pytest.raises(KallaError, match=hint) as caught, database.source(table):
        pass
    assert caught.value.code is Code.DATA_NOT_FOUND


def test_a_table_without_columns_is_refused(database: Database) -> None:
    database.run("CREATE TABLE x ()")
    with pytest.raises(KallaError, match="no columns") as caught, database.source("x"):
        pass
    assert caught.value.code is Code.INVALID_DATA


def test_generated_columns_and_not_null_are_known(database: Database) -> None:
    database.run(
        "CREATE TABLE x (id int NOT NULL, s int GENERATED ALWAYS AS (id + 1) STORED,"
        " w int GENERATED ALWAYS AS (id * 2) VIRTUAL)",
        "INSERT INTO x VALUES (1)",
    )
    with database.source("x") as source:
        assert [field.nullable for field in source.schema()] == [False, True, True]
        assert read(source).to_pylist() == [{"id": 1, "s": 2, "w": 2}]


def test_a_not_null_that_was_never_validated_is_not_trusted(database: Database) -> None:
    database.run(
        "CREATE TABLE x (v int)",
        "INSERT INTO x VALUES (NULL)",
        "ALTER TABLE x ADD CONSTRAINT nn NOT NULL v NOT VALID",
    )
    with database.source("x") as source:
        assert source.schema().field("v").nullable
        assert values_of(read(source)) == [None]


def test_rows_come_by_primary_key_and_pages_of_them_fit_together(database: Database) -> None:
    database.run(
        "CREATE TABLE x (v int, id int PRIMARY KEY)",
        "INSERT INTO x SELECT g, 5000 - g FROM generate_series(1, 3000) g",
    )
    with database.source("x", only("v", "gt", 10)) as source:
        pages = [table_of(source.rows(700, offset), source.schema()) for offset in range(0, 3500, 700)]
        assert pa.concat_tables(pages) == read(source)
        assert values_of(read(source), "id") == list(range(2000, 4990))
        assert table_of(source.rows(0), source.schema()).num_rows == 0


def test_rows_without_a_key_come_as_they_lie(database: Database) -> None:
    database.run(
        "CREATE TABLE x (v int)", "INSERT INTO x SELECT (g * 7919) % 3001 FROM generate_series(1, 3000) g"
    )
    with database.source("x") as source:
        assert values_of(read(source)) == [g * 7919 % 3001 for g in range(1, 3001)]
        assert values_of(table_of(source.rows(3, 2), source.schema())) == [g * 7919 % 3001 for g in (3, 4, 5)]


def test_a_recipe_schema_with_a_missing_column_is_refused(database: Database) -> None:
    database.run("CREATE TABLE x (amount int)")
    with (
        pytest.raises(KallaError, match="did you mean 'amount'") as caught,
        database.source("x", schema=["amounts"]),
    ):
        pass
    assert caught.value.code is Code.SCHEMA_MISMATCH


def test_trap_23_a_table_of_many_columns_is_staged_in_bounded_batches(
    database: Database, tmp_path: Path
) -> None:
    columns = ", ".join(f"c{number} text" for number in range(216))
    values = ", ".join("repeat('x', 40)" for _ in range(216))
    database.run(
        f"CREATE TABLE x ({columns})", f"INSERT INTO x SELECT {values} FROM generate_series(1, 2000)"
    )
    with database.source("x", threads=1) as source:
        staged = source.stage(tmp_path, lambda _: None)
    sizes = []
    for path in staged.files:
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            sizes += [reader.get_batch(number).nbytes for number in range(reader.num_record_batches)]
    assert sum(sizes) > 16 << 20
    assert max(sizes) < 12 << 20


def test_trap_26_text_is_utf8_and_never_a_view(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE TABLE x (a text, b varchar, c char(3), d text[])",
        "INSERT INTO x VALUES ('a', 'b', 'c', '{d}')",
    )
    with database.source("x") as source:
        types = [field.type for field in stage(source, tmp_path).schema]
    assert types == [pa.string(), pa.string(), pa.string(), pa.list_(pa.string())]


def test_latin1_databases_are_read_as_utf8(database: Database, tmp_path: Path) -> None:
    name = f"latin_{database.connection.info.dbname}"
    database.run(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with opened_database(database.url.rsplit("/", 1)[0] + f"/{name}") as latin:
            latin.run(
                "SET client_encoding = 'UTF8'",
                "CREATE TABLE x (v text)",
                "INSERT INTO x VALUES ('\u00e9'), ('z')",
            )
            with latin.source("x", only("v", "gt", "z")) as source:
                assert values_of(stage(source, tmp_path)) == ["\u00e9"]
    finally:
        database.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_bytes_that_are_no_utf8_in_an_ascii_database_are_an_error(database: Database) -> None:
    name = f"ascii_{database.connection.info.dbname}"
    database.run(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        with opened_database(database.url.rsplit("/", 1)[0] + f"/{name}") as ascii_:
            ascii_.run(
                "SET client_encoding = 'SQL_ASCII'",
                "CREATE TABLE x (v text)",
                "INSERT INTO x VALUES (E'\\xe9')",
            )
            with ascii_.source("x") as source, pytest.raises(KallaError, match="invalid byte sequence"):
                read(source)
    finally:
        database.run(f"DROP DATABASE {name} WITH (FORCE)")


def test_sources_open_through_the_registry(database: Database) -> None:
    database.run("CREATE TABLE x (v int)")
    with ReadSession(()) as session:
        assert open_source(SourceSpec("x", database.uri("x")), session).count() == 0
