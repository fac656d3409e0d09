"""Finds the connector for a source: by URI scheme, else by the file's name.

Connectors are entry points of the group `kalla.connectors`, named after their scheme; `csv` and
`parquet` read local files. They are imported when first needed.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from kalla_common.domain import SourceSpec
from kalla_common.errors import Code, KallaError

from kalla_runner.connectors.base import Connector, OpenSource, ReadSession
from kalla_runner.connectors.paths import is_text_file

GROUP: Final = "kalla.connectors"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_LOCAL: Final = frozenset({"csv", "parquet"})


def open_source(spec: SourceSpec, session: ReadSession) -> OpenSource:
    """Pin and open a source; it is closed with the session.

    Raises:
        KallaError: CONNECTOR_MISSING if nothing reads its URI, or what the connector raises.
    """
    return _connector(connector_name(spec.uri)).open(spec, session)


def connector_name(uri: str) -> str:
    """The entry point that reads a URI: its scheme, or csv or parquet for a local path.

    Raises:
        KallaError: CONNECTOR_MISSING if no connector of that name is installed.
    """
    found = _SCHEME.match(uri)
    scheme = found[1].lower() if found else "file"
    if scheme == "file":
        name = uri.rsplit("/", 1)[-1]
        return "csv" if is_text_file(name) else "parquet"
    if scheme in _LOCAL or scheme not in _installed():
        raise _missing(f"No installed connector reads {scheme}:// URIs")
    return scheme


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _connector(name: str) -> Connector:
    point = _installed().get(name)
    if point is None:
        raise _missing(f"No connector named {name} is installed")
    try:
        return cast("type[Connector]", point.load())()
    except ImportError as error:
        needed = f" (install the Python package {error.name})" if error.name else ""
        raise _missing(f"The connector for {name} is installed but cannot be loaded{needed}") from error


def _missing(reason: str) -> KallaError:
    schemes = ", ".join(f"{name}://" for name in sorted(_installed()) if name not in _LOCAL)
    files = ", ".join(name for name in sorted(_LOCAL) if name in _installed())
    known = "; ".join(part for part in (schemes, f"local files ({files})" if files else "") if part)
    return KallaError(Code.CONNECTOR_MISSING, f"{reason}; installed are {known or 'none'}.")
