"""What several connectors' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.connectors.search_indices import Indices, opened_indices


@pytest.fixture
def indices(opensearch_url: str) -> Iterator[Indices]:
    """Indices of this test on the real OpenSearch server."""
    with opened_indices(opensearch_url) as opened:
        yield opened
