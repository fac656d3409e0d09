"""One real Kalla for all end-to-end tests that do not need one of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.support import Kalla, running_kalla


@pytest.fixture(scope="session")
def kalla() -> Iterator[Kalla]:
    """A running `kalla up` on free ports, its home and data in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="kalla-e2e-") as folder:
        root = Path(folder).resolve()
        root.chmod(0o711)
        (root / "data").mkdir()
        with running_kalla(root / "home", root / "data") as running:
            yield running


@pytest.fixture
def data(kalla: Kalla, request: pytest.FixtureRequest) -> Path:
    """A folder of this test's own below the allowed one."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    folder = kalla.data / name
    folder.mkdir()
    return folder
