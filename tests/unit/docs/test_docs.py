"""What the documentation says of the code is what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kalla_chat.settings import ChatSettings
from kalla_common.settings import CommonSettings, TlsSettings
from kalla_gateway.settings import GatewaySettings
from kalla_runner.settings import RunnerSettings

from tests.unit.docs import function_page
from tests.unit.docs.error_table import PAGE, with_table

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_table_of_errors_is_the_catalogue() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "run: python -m tests.unit.docs.error_table"


def test_the_page_of_functions_is_the_catalogue() -> None:
    page = function_page.PAGE.read_text()
    assert page == function_page.function_page(), "run: python -m tests.unit.docs.function_page"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("settings", [GatewaySettings, RunnerSettings, ChatSettings])
def test_operations_names_every_setting(settings: type[CommonSettings]) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    prefix = str(settings.model_config.get("env_prefix"))
    own = set(settings.model_fields) - set(CommonSettings.model_fields) - {"pause_at"}
    missing = [prefix + name.upper() for name in own if f"`{prefix}{name.upper()}`" not in page]
    assert not missing
    common = [f"`KALLA_*_{name.upper()}`" for name in CommonSettings.model_fields if name != "tls"]
    common += [f"`KALLA_*_TLS__{name.upper()}`" for name in TlsSettings.model_fields]
    assert not [name for name in common if name not in page]


@pytest.mark.parametrize(
    ("prefix", "settings"), [("GATEWAY", GatewaySettings), ("RUNNER", RunnerSettings), ("CHAT", ChatSettings)]
)
def test_operations_names_no_setting_that_does_not_exist(prefix: str, settings: type[CommonSettings]) -> None:
    for page in PAGES:
        for name in re.findall(rf"KALLA_{prefix}_([A-Z_]+)", page.read_text()):
            assert name.partition("__")[0].lower() in settings.model_fields, f"{page.name}: {name}"


def test_the_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`| {4})make ([a-z]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, page.name


def test_the_example_recipe_is_a_recipe() -> None:
    from kalla_gateway.recipes.schemas import RecipeBody  # noqa: PLC0415 - only this test needs it

    body = json.loads((ROOT / "examples" / "recipe.json").read_text())
    recipe = RecipeBody.model_validate(body).domain()
    assert (recipe.left.alias, recipe.right.alias) == ("invoices", "payments")
