"""PostgreSQL tables, views, partitioned and foreign tables as sources."""

from kalla_runner.connectors.postgres.source import PostgresConnector

__all__ = ["PostgresConnector"]
