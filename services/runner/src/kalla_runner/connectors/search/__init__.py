"""Indices of Elasticsearch and OpenSearch as sources."""

from kalla_runner.connectors.search.source import SearchConnector

__all__ = ["SearchConnector"]
