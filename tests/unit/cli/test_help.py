"""Every command's help teaches with an example."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from kalla_cli.main import app
from typer.testing import CliRunner

runner = CliRunner()


@pytest.mark.parametrize("command", ["up", "demo", "chat", "status", "version"])
def test_the_help_of_a_command_has_an_example(command: str) -> None:
    result = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example: kalla {command}" in result.output


def test_kalla_without_arguments_names_all_commands() -> None:
    result = runner.invoke(app, [], env={"COLUMNS": "200"})
    for command in ("up", "demo", "chat", "status", "version"):
        assert f" {command} " in result.output


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_both_ways_of_asking_print_the_installed_version(argument: str) -> None:
    result = runner.invoke(app, [argument])
    assert result.exit_code == 0
    assert result.output == f"kalla {version('kalla')}\n"
