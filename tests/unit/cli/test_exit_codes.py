"""A command that ran a reconciliation says by its exit code that rows share the key of a matched row."""

from __future__ import annotations

import pytest
from kalla_cli import demo, main
from kalla_cli.chat import talk
from typer.testing import CliRunner


@pytest.mark.parametrize(("shared", "code"), [(0, 0), (2, main.SHARED_KEYS)])
def test_rows_that_share_a_matched_key_have_an_exit_code_of_their_own(
    shared: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_arguments: object, **_options: object) -> int:
        return shared

    monkeypatch.setattr(demo, "run_demo", found)
    monkeypatch.setattr(talk, "run_chat", found)
    assert CliRunner().invoke(main.app, ["demo"]).exit_code == code
    assert CliRunner().invoke(main.app, ["chat", "--url", "http://127.0.0.1:1", "-m", "x"]).exit_code == code
    assert main.SHARED_KEYS not in (0, 1, 2)
