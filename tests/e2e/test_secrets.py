"""No password is anywhere but in its place: not in answers, logs, manifests or command lines."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from tests.e2e.support import Kalla, pids_of, recipe

SECRET = "hidden-w0rd-of-the-reader"
SQL = "SELECT l.id, r.id FROM a l JOIN b r ON l.id = r.id"
ANSWERS = ("/", "/openapi.json", "/metrics", "/ready", "/api/sources", "/api/recipes", "/api/runs")


def test_after_good_and_bad_runs_no_secret_is_seen_anywhere(
    kalla: Kalla, data: Path, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS of_the_reader")
        connection.execute("DROP ROLE IF EXISTS reader_with_secret")
        connection.execute(f"CREATE ROLE reader_with_secret LOGIN PASSWORD '{SECRET}'")
        connection.execute("CREATE TABLE of_the_reader AS SELECT g AS id FROM generate_series(1, 3) g")
        connection.execute("GRANT SELECT ON of_the_reader TO reader_with_secret")
    at = urlsplit(database_url)
    uri = f"postgres://reader_with_secret:{SECRET}@{at.hostname}:{at.port}{at.path}?table="
    (data / "b.csv").write_text("id\n2\n3\n4\n")

    def asked(table: str, right: Path, sql: str = SQL) -> dict[str, object]:
        return recipe(sql, ("a", uri + table, ["id"]), ("b", right, ["id"]))

    kalla.register("with_secret", uri + "of_the_reader")
    good = kalla.complete(asked("of_the_reader", data / "b.csv"))
    assert good["matched_count"] == 2
    answers = [str(good)]
    away = f"postgres://reader:{SECRET}@127.0.0.1:1/d?table=t"
    wrong = (
        asked("not_there", data / "b.csv"),
        asked("of_the_reader", data / "none.csv"),
        asked("of_the_reader", data / "b.csv", SQL + " AND l.none = 1"),
        recipe(SQL, ("a", away, ["id"]), ("b", data / "b.csv", ["id"])),
        recipe(SQL, ("a", uri, ["id"]), ("b", data / "b.csv", ["id"])),
    )
    for body in wrong:
        answer = kalla.post("/api/runs", {"recipe": body})
        answers.append(str(answer.body))
        if answer.status == 200:
            answers.append(str(kalla.wait(answer.body["run_id"])))
    answers += [kalla.http.get(path).text for path in ANSWERS]
    answers += [kalla.runner_http.get(path).text for path in ("/", "/metrics", "/openapi.json")]
    answers.append(str(kalla.get("/api/sources/with_secret/preview").body))
    answers.append(kalla.http.get(f"/api/runs/{good['run_id']}").text)

    secrets = {SECRET} | {
        (kalla.home / name).read_text().strip()
        for name in ("postgres.password", "s3.secret", "webhook.secret")
    }
    manifests = list((kalla.home / "runs" / good["run_id"]).iterdir())
    logs = list((kalla.home / "logs").iterdir())
    assert len(manifests) >= 4
    assert len(logs) >= 5
    files = {str(path): path.read_bytes() for path in (*logs, *manifests, kalla.home / "kalla.json")}
    commands = [
        Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid in (kalla.process.pid, *pids_of(kalla.state))
        if psutil.pid_exists(pid)
    ]
    assert len(commands) >= 6
    for secret in secrets:
        assert not [text for text in answers if secret in text]
        assert not [name for name, content in files.items() if secret.encode() in content]
        assert not [command for command in commands if secret.encode() in command]
