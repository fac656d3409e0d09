"""`kalla up`: state survives, every kind of end stops everything, every obstacle is one sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import S3Bucket
from tests.e2e.support import (
    Kalla,
    alive,
    pids_of,
    read_state,
    recipe,
    running_kalla,
    stop,
    up_command,
    wait_until_ready,
)

SQL = "SELECT a.id, b.id FROM a JOIN b ON a.id = b.id"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder with a home that was started once before, so that starts are quick."""
    with tempfile.TemporaryDirectory(prefix="kalla-life-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        (root / "data").mkdir()
        (root / "data" / "a.csv").write_text("id\n1\n2\n")
        (root / "data" / "b.csv").write_text("id\n2\n3\n")
        yield root


def start_up(home: Path, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        up_command(home, *options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return process, wait_until_ready(home, process)


def refused(*command: str) -> str:
    """The one sentence of a `kalla up` that must not start."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def all_gone(pids: list[int], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_restart_keeps_sources_recipes_runs_and_results(place: Path) -> None:
    def everything(kalla: Kalla, run_id: str) -> list[Any]:
        paths = ("/api/sources", "/api/recipes", "/api/runs", f"/api/runs/{run_id}")
        results = f"/api/runs/{run_id}/results/matched"
        return [kalla.get(path).body for path in (*paths, results)]

    body = recipe(SQL, ("a", None, ["id"]), ("b", None, ["id"]), recipe_id="kept")
    with running_kalla(place / "home", place / "data") as kalla:
        kalla.register("a", place / "data" / "a.csv")
        kalla.register("b", place / "data" / "b.csv")
        assert kalla.post("/api/recipes", body).status == 200
        run_id = kalla.post("/api/runs", {"recipe_id": "kept"}).body["run_id"]
        assert kalla.wait(run_id)["status"] == "completed"
        # Sources are looked at in the background; their status is a part of what is compared.
        end = time.monotonic() + 30
        while any(source["status"] == "unknown" for source in kalla.get("/api/sources").body):
            assert time.monotonic() < end
            time.sleep(0.05)
        before = everything(kalla, run_id)
    with running_kalla(place / "home", place / "data") as kalla:
        assert everything(kalla, run_id) == before
        again = kalla.wait(kalla.post("/api/runs", {"recipe_id": "kept"}).body["run_id"])
        assert (again["status"], again["matched_count"]) == ("completed", 1)


def _put(url: str, content: bytes) -> int:
    # The first object of a new store waits for its first volume, on a busy machine for long.
    return httpx.put(url, content=content, trust_env=False, timeout=60).status_code


def test_a_restart_keeps_uploads_and_addresses_that_were_signed_before(place: Path) -> None:
    with running_kalla(place / "home", place / "data") as kalla:
        names = {"filename": "a.csv", "session_id": "s"}
        sent, late = (kalla.post("/api/uploads/presign", names).body for _ in range(2))
        assert _put(sent["presigned_url"], b"id\n1\n") == 200
    with running_kalla(place / "home", place / "data") as kalla:
        assert _put(late["presigned_url"], b"id\n1\n2\n") == 200
        for rows, upload in ((1, sent), (2, late)):
            body = {"s3_uri": upload["s3_uri"], "filename": "a.csv"}
            confirmed = kalla.post(f"/api/uploads/{upload['upload_id']}/confirm", body)
            assert (confirmed.status, confirmed.body["row_count"]) == (200, rows)


def test_sigterm_stops_everything_in_good_order_and_a_second_kalla_is_refused_before(place: Path) -> None:
    home = place / "home"
    process, state = start_up(home)
    pids = pids_of(state)
    try:
        sentence = refused(*up_command(home))
        assert f"already runs on {home} (process {process.pid}, {state['gateway']})" in sentence
        status = subprocess.run(
            [sys.executable, "-m", "kalla_cli", "status", "--home", home],
            capture_output=True,
            text=True,
            check=False,
        )
        assert status.returncode == 0
        assert f"{state['gateway']}   ready" in status.stdout
        assert f"embedded on {state['s3']}" in status.stdout
    finally:
        begin = time.monotonic()
        output = stop(process, signal.SIGTERM)
    assert process.returncode == 0, output
    assert time.monotonic() - begin < 15
    assert all_gone(pids, 0.5)
    assert "Kalla is ready after" in output
    assert state["gateway"] in output
    assert output.rstrip().endswith("Kalla has stopped.")
    assert read_state(home) is None


def test_ctrl_c_in_a_terminal_stops_in_order_too(place: Path) -> None:
    """A terminal sends SIGINT to the whole foreground group, not to one process."""
    process = subprocess.Popen(
        up_command(place / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    pids = pids_of(wait_until_ready(place / "home", process))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert all_gone(pids, 0.5)


@pytest.mark.parametrize("name", ["The runner", "The gateway", "PostgreSQL", "The S3 store"])
def test_one_dead_process_stops_the_rest_and_is_named(place: Path, name: str) -> None:
    process, state = start_up(place / "home")
    pids = pids_of(state)
    os.kill(state["processes"][name][0], signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"kalla: {name} ended by itself (signal SIGKILL)" in output
    assert all_gone(pids, 5)


def test_kalla_killed_leaves_nothing_running_and_starts_again(place: Path) -> None:
    process, state = start_up(place / "home")
    pids = pids_of(state)
    process.kill()
    process.communicate()
    if sys.platform == "linux":
        assert all_gone(pids, 20)
    process, _ = start_up(place / "home")
    stop(process)
    assert process.returncode == 0
    assert all_gone(pids, 0.5)


def test_status_of_a_home_without_kalla_fails(place: Path) -> None:
    command = [sys.executable, "-m", "kalla_cli", "status", "--home", place / "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Data that other homes left on this machine may be named after it.
    assert (done.returncode, done.stdout.splitlines()[0]) == (
        1,
        f"Kalla does not run on {place / 'nowhere'}.",
    )
    assert not (place / "nowhere").exists()


def test_a_port_in_use_is_one_sentence(place: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        command = [sys.executable, "-m", "kalla_cli", "up", "--home", str(place / "other")]
        sentence = refused(*command, "--port", str(port), "--runner-port", "0")
        assert f"Port {port} is in use" in sentence
        sentence = refused(*command, "--port", "0", "--runner-port", str(port))
        assert "--runner-port" in sentence


def test_a_folder_that_is_not_there_cannot_be_allowed(place: Path) -> None:
    sentence = refused(*up_command(place / "other", "--allow-path", "/no/such/folder"))
    assert "--allow-path /no/such/folder is not a folder" in sentence


def test_a_database_of_ones_own_serves_in_place_of_the_embedded_one(place: Path, database_url: str) -> None:
    with running_kalla(place / "own", place / "data", "--database-url", database_url) as kalla:
        kalla.register("a", place / "data" / "a.csv")
        assert not (place / "own" / "postgres").exists()
        assert "PostgreSQL" not in kalla.state["processes"]
        commands = [" ".join(psutil.Process(pid).cmdline()) for pid in pids_of(kalla.state)]
        password = database_url.split("@", maxsplit=1)[0].rpartition(":")[2]
        assert not [command for command in commands if password in command], "a password among the arguments"
    with running_kalla(place / "another-home", place / "data", "--database-url", database_url) as kalla:
        assert [source["alias"] for source in kalla.get("/api/sources").body] == ["a"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://kalla:hidden-word@127.0.0.1:1/kalla", "127.0.0.1:1 cannot be reached"),
        ("mysql://kalla:hidden-word@127.0.0.1:1/kalla", "must begin with postgresql://"),
        ("postgresql://kalla:hidden-word@127.0.0.1:x/kalla", "cannot be understood"),
    ],
)
def test_a_database_that_is_no_use_is_one_sentence_without_its_password(
    place: Path, url: str, reason: str
) -> None:
    sentence = refused(*up_command(place / "unreachable", "--database-url", url))
    assert reason in sentence
    assert "hidden-word" not in sentence


def test_a_store_of_ones_own_serves_in_place_of_the_embedded_one(place: Path, s3_bucket: S3Bucket) -> None:
    environment = s3_bucket.settings.environment()
    with running_kalla(
        place / "own-s3", place / "data", "--upload-bucket", s3_bucket.name, **environment
    ) as kalla:
        upload = kalla.post("/api/uploads/presign", {"filename": "a.csv", "session_id": "s"}).body
        assert upload["presigned_url"].startswith(f"{s3_bucket.settings.endpoint}/{s3_bucket.name}/s/")
        assert "The S3 store" not in kalla.state["processes"]
        assert not (place / "own-s3" / "s3").exists()
        commands = [" ".join(psutil.Process(pid).cmdline()) for pid in pids_of(kalla.state)]
        secret = environment["AWS_SECRET_ACCESS_KEY"]
        assert not [command for command in commands if secret in command], "a secret among the arguments"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1 cannot be reached"),
        ({"AWS_SECRET_ACCESS_KEY": "hidden-word"}, "refuses the credentials (SignatureDoesNotMatch)"),
        ({"AWS_ALLOW_HTTP": "false"}, "set AWS_ALLOW_HTTP=true"),
        ({"AWS_ACCESS_KEY_ID": ""}, "need each other"),
        ({"KALLA_GATEWAY_UPLOAD_BUCKET": "no-such-bucket"}, "has no bucket no-such-bucket"),
        ({"KALLA_GATEWAY_UPLOAD_BUCKET": "No_Bucket"}, "--upload-bucket 'No_Bucket' is wrong"),
    ],
)
def test_a_store_that_is_no_use_is_one_sentence_without_its_secret(
    place: Path,
    s3_bucket: S3Bucket,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    reason: str,
) -> None:
    variables = {**s3_bucket.settings.environment(), "KALLA_GATEWAY_UPLOAD_BUCKET": s3_bucket.name, **changes}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    sentence = refused(*up_command(place / "no-store"))
    assert reason in sentence
    assert variables["AWS_SECRET_ACCESS_KEY"] not in sentence


def test_a_bucket_without_a_store_is_one_sentence(place: Path) -> None:
    sentence = refused(*up_command(place / "no-store", "--upload-bucket", "mine"))
    assert "AWS_ACCESS_KEY_ID" in sentence


def test_secrets_are_readable_by_their_owner_alone_and_in_no_log(place: Path) -> None:
    home = place / "home"
    names = ("postgres.password", "s3.secret", "webhook.secret")
    assert all((home / name).stat().st_mode & 0o777 == 0o600 for name in names)
    logs = "".join(log.read_text() for log in (home / "logs").iterdir())
    assert not [name for name in names if (home / name).read_text() in logs]
