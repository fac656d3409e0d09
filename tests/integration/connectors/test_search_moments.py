"""Points in time: one state for all pages, recorded, closed whatever happens; names of several indices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kalla_common.domain import FilterCondition, FilterOp, SourceSpec
from kalla_common.errors import Code, KallaError
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.search import SearchConnector, server

from tests.integration.connectors.contract import read_rows, staged_rows
from tests.integration.connectors.search_indices import Indices

LONG = {"v": {"type": "long"}}


def numbers(count: int) -> list[str]:
    return [f'{{"v":{number}}}' for number in range(count)]


def test_the_pin_names_cluster_index_and_point_in_time(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(1))
    with indices.source(index) as source:
        assert set(source.pin) == {"server", "cluster", "index", "index_uuid", "point_in_time", "opened_at"}
        assert source.pin["index"] == index
        assert len(str(source.pin["point_in_time"])) > 20


@pytest.mark.parametrize("shards", [1, 3])
def test_trap_08_documents_written_meanwhile_are_neither_seen_nor_shift_a_page(
    indices: Indices, tmp_path: Path, shards: int
) -> None:
    index = indices.made(LONG, *numbers(3000), shards=shards)
    with indices.source(index) as source:
        pages = source.rows()
        seen = next(pages).column("v").to_pylist()
        indices.add(index, numbers(2000), first=10_000)
        indices.ask(
            "POST", f"/{index}/_delete_by_query?refresh=true", {"query": {"range": {"v": {"lt": 500}}}}
        )
        indices.ask("POST", f"/{index}/_forcemerge?max_num_segments=1")
        for batch in pages:
            seen += batch.column("v").to_pylist()
        assert sorted(seen) == list(range(3000))
        staged = source.stage(tmp_path / "staged", lambda _: None)
        assert sorted(staged_rows(staged).column("v").to_pylist()) == list(range(3000))
        assert source.count() == 3000


def test_pages_of_separate_reads_follow_each_other(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(700), shards=3)
    found: list[int] = []
    for offset in range(0, 700, 175):
        with indices.source(index) as source:
            found += read_rows(source, 175, offset).column("v").to_pylist()
    assert sorted(found) == list(range(700))


def test_a_page_far_behind_is_reached_without_the_documents_before_it(
    indices: Indices, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = indices.made(LONG, *numbers(3000))
    with indices.source(index) as source:
        whole = read_rows(source)
        asked: list[tuple[int, bool]] = []
        page = server.PointInTime.page

        def told(self: server.PointInTime, body: Mapping[str, Any], parse: Any) -> Any:
            asked.append((body["size"], body["_source"]))
            return page(self, body, parse)

        monkeypatch.setattr(server.PointInTime, "page", told)
        assert read_rows(source, 5, 2990).equals(whole.slice(2990, 5))
    assert asked == [(2990, False), (5, True)]


def test_a_point_in_time_is_closed_with_its_session(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(1))
    with indices.source(index) as source:
        assert indices.points_in_time() == 1
        assert source.count() == 1
    assert indices.points_in_time() == 0


def test_a_point_in_time_is_closed_when_opening_fails_behind_it(indices: Indices) -> None:
    index = indices.create({"a": {"type": "long"}}, mapping={"_source": {"enabled": False}})
    with pytest.raises(KallaError), indices.source(index):
        pass
    assert indices.points_in_time() == 0


def test_a_point_in_time_is_kept_alive_while_nothing_is_read(
    indices: Indices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE", "1s")
    monkeypatch.setattr(server, "_RENEW_SECONDS", 0.3)
    index = indices.made(LONG, *numbers(2))
    with indices.source(index) as source:
        time.sleep(4.5)  # more than twice what the server of these tests keeps one without being asked
        assert source.count() == 2


KILLED = """
import sys, time
from kalla_common.domain import SourceSpec
from kalla_runner.connectors.base import ReadSession
from kalla_runner.connectors.search import SearchConnector, server
server.KEEP_ALIVE = "1s"
with ReadSession(()) as session:
    SearchConnector().open(SourceSpec("t", sys.argv[1]), session)
    print("open", flush=True)
    time.sleep(60)
"""


def test_a_point_in_time_of_a_killed_reader_ends_by_itself(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(1))
    reader = subprocess.Popen(
        [sys.executable, "-c", KILLED, indices.uri(index)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == "open\n"
        assert indices.points_in_time() == 1
        os.kill(reader.pid, signal.SIGKILL)
    finally:
        reader.kill()
        reader.communicate()
    end = time.monotonic() + 30
    while indices.points_in_time() and time.monotonic() < end:
        time.sleep(0.1)
    assert indices.points_in_time() == 0


def test_a_point_in_time_that_the_server_gave_up_is_source_changed(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(1))
    with indices.source(index) as source:
        indices.ask("DELETE", "/_search/point_in_time", {"pit_id": [source.pin["point_in_time"]]})
        with pytest.raises(KallaError, match="point in time") as failure:
            source.count()
    assert failure.value.code is Code.SOURCE_CHANGED


def test_an_index_deleted_while_it_is_read_is_an_error_not_an_end(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(3000))
    with indices.source(index) as source:
        pages = source.rows()
        next(pages)
        indices.ask("DELETE", f"/{index}")
        with pytest.raises(KallaError) as failure:
            list(pages)
    assert failure.value.code in (Code.SOURCE_CHANGED, Code.DATA_NOT_FOUND)


def test_several_indices_of_one_mapping_are_one_source(indices: Indices, tmp_path: Path) -> None:
    for shards in (1, 2):
        indices.add(indices.create(LONG, shards=shards), numbers(700))
    with indices.source(f"{indices.prefix}-*") as source:
        assert source.count() == 1400
        assert sorted(read_rows(source).column("v").to_pylist()) == sorted([*range(700)] * 2)
        staged = source.stage(tmp_path / "staged", lambda _: None)
        assert staged.row_count == 1400
        assert source.pin["index"] == f"{indices.prefix}-0,{indices.prefix}-1"


def test_an_alias_with_a_filter_is_what_it_filters(indices: Indices) -> None:
    index = indices.made(LONG, *numbers(10))
    alias = indices.name()
    indices.ask("PUT", f"/{index}/_alias/{alias}", {"filter": {"range": {"v": {"gte": 6}}}})
    with indices.source(alias, FilterCondition("v", FilterOp.LT, (9,))) as source:
        assert read_rows(source).column("v").to_pylist() == [6, 7, 8]
        assert source.count() == 3


def test_an_alias_over_indices_with_other_mappings_names_field_and_indices(indices: Indices) -> None:
    one, two = indices.create(LONG), indices.create({"v": {"type": "keyword"}})
    alias = indices.name()
    for index in (one, two):
        indices.ask("PUT", f"/{index}/_alias/{alias}")
    with pytest.raises(KallaError) as failure, indices.source(alias):
        pass
    assert failure.value.code is Code.SCHEMA_MISMATCH
    for part in ("'v'", one, two, "long", "keyword"):
        assert part in failure.value.message


def test_a_pattern_that_fits_nothing_is_not_found(indices: Indices) -> None:
    with pytest.raises(KallaError) as failure, indices.source(f"{indices.prefix}-none-*"):
        pass
    assert failure.value.code is Code.DATA_NOT_FOUND


def test_sources_of_one_run_are_open_side_by_side(indices: Indices) -> None:
    one, two = indices.made(LONG, *numbers(1)), indices.made(LONG, *numbers(2))
    with ReadSession((), 2) as session:
        sources = [
            SearchConnector().open(SourceSpec("t", indices.uri(index)), session) for index in (one, two)
        ]
        assert [source.count() for source in sources] == [1, 2]
        assert indices.points_in_time() == 2
    assert indices.points_in_time() == 0
