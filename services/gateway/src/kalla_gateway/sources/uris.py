"""What a source URI must be before it is stored or sent to the runner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qs, urlsplit

from kalla_common.errors import Code, KallaError
from kalla_common.uris import has_control_characters, restore_secret

_SCHEMES: Final = {
    "postgres": ("postgres", "postgresql"),
    "elasticsearch": ("elasticsearch", "elasticsearch+https", "opensearch", "opensearch+https"),
}
SOURCE_TYPES: Final = (*_SCHEMES, "file")


def check_source(alias: str, source_type: str, uri: str) -> None:
    """Judge a URI against its source's type.

    Raises:
        KallaError: INVALID_REQUEST for an unknown type, INVALID_URI for the rest.
    """
    if source_type not in SOURCE_TYPES:
        known = ", ".join(SOURCE_TYPES)
        raise KallaError(
            Code.INVALID_REQUEST, f"Source {alias!r} has an unknown type; known are {known}.", alias=alias
        )
    scheme = _scheme(alias, uri)
    wanted = _SCHEMES.get(source_type)
    if wanted is None:
        if any(scheme in schemes for schemes in _SCHEMES.values()):
            raise _invalid(alias, f"has the type file, but its URI begins with {scheme}://")
    elif scheme not in wanted:
        raise _invalid(alias, f"has the type {source_type}, so its URI must begin with {wanted[0]}://")
    check_uri(alias, uri)


def check_uri(alias: str, uri: str) -> None:
    """Require what every reader of `uri` needs: PostgreSQL a table, a search engine an index.

    Raises:
        KallaError: INVALID_URI.
    """
    if "\0" in uri or ("://" in uri and has_control_characters(uri)):
        raise _invalid(alias, "has control characters in its URI")
    scheme = _scheme(alias, uri)
    if scheme in _SCHEMES["elasticsearch"] and not _path(uri):
        raise _invalid(alias, f"needs an index in its URI: {scheme}://host:9200/index")
    if scheme not in _SCHEMES["postgres"]:
        return
    try:
        tables = parse_qs(urlsplit(uri).query).get("table", [])
    except ValueError as error:
        raise _invalid(alias, "has a URI that cannot be parsed") from error
    if len(tables) != 1 or not tables[0].strip():
        raise _invalid(
            alias,
            "needs exactly one table in its URI: add ?table=table_name"
            " (and percent-encode / ? # @ in a password)",
        )


def with_secret(alias: str, uri: str, stored: Iterable[str | None]) -> str:
    """Return `uri` with the secret of the first stored URI that fits, where it says `***`.

    Raises:
        KallaError: INVALID_URI if it is masked and nothing stored fits.
    """
    problem = "there is no stored password for ***: give the password in full"
    for candidate in (*(known for known in stored if known is not None), None):
        try:
            return restore_secret(uri, candidate or "")
        except ValueError as error:
            if candidate is not None:
                problem = str(error)
    raise _invalid(alias, f"cannot be used as posted: {problem}")


def _path(uri: str) -> str:
    return uri.partition("://")[2].rpartition("@")[2].partition("?")[0].partition("/")[2].strip("/")


def _scheme(alias: str, uri: str) -> str:
    if not uri.strip():
        raise _invalid(alias, "has an empty URI")
    head, separator, _ = uri.partition("://")
    return head.lower() if separator else ""


def _invalid(alias: str, problem: str) -> KallaError:
    return KallaError(Code.INVALID_URI, f"Source {alias!r} {problem}.", alias=alias)
