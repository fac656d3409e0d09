"""Names of files, and local paths of sources: only regular files below the allowed folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from kalla_common.errors import Code, KallaError

ZIP: Final = b"PK\x03\x04"
OLE: Final = b"\xd0\xcf\x11\xe0"
"""How spreadsheets begin: new ones are archives, old ones OLE documents."""
_TEXT_FILE: Final = re.compile(r"\.(csv|tsv)(\.gz)?\Z", re.IGNORECASE)


def is_text_file(name: str) -> bool:
    """Whether a file of this name is read as CSV."""
    return _TEXT_FILE.search(name) is not None


def local_path(text: str) -> Path:
    """The path that a source URI without a scheme, or a file:// URI, stands for; not yet checked.

    Raises:
        KallaError: INVALID_URI for a file:// URI with a host or no path, or an impossible path.
    """
    path = text
    if text[:7].lower() == "file://":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise KallaError(
                Code.INVALID_URI,
                f"The URI {text!r} names a host; write file:///folder/file for a local file.",
            )
        # urlsplit would take ? and # off the path: in a file name they are ordinary letters.
        path = unquote(text[7 + len(parts.netloc) :])
    if not path or "\0" in path:
        raise KallaError(Code.INVALID_URI, "A local source needs the path of a file.")
    return Path(path)


def allowed_path(text: str, roots: tuple[Path, ...]) -> Path:
    """The real path of an existing regular file that lies below one of the roots.

    Symbolic links are followed before the check, so that no link leads out of the roots.

    Args:
        text: a path (relative ones start in the working directory) or a file:// URI.
        roots: resolved folders.

    Raises:
        KallaError: PATH_NOT_ALLOWED, DATA_NOT_FOUND, ACCESS_DENIED or INVALID_URI.
    """
    asked = local_path(text)
    try:
        path = asked.resolve()
    except (OSError, RuntimeError) as error:
        raise KallaError(Code.DATA_NOT_FOUND, f"The path {text} leads nowhere.") from error
    if not any(path.is_relative_to(root) for root in roots):
        # Said before anything about the file: a caller must not learn what lies outside.
        folders = ", ".join(str(root) for root in roots) or "none"
        raise KallaError(
            Code.PATH_NOT_ALLOWED,
            f"The path {text} lies outside the allowed folders ({folders}); start Kalla with --allow-path "
            "and the file's folder to allow it.",
        )
    try:
        kind = "file" if path.is_file() else "folder" if path.is_dir() else "other" if path.exists() else ""
    except OSError as error:
        raise KallaError(
            Code.ACCESS_DENIED, f"The file {text} may not be looked at: {error.strerror}."
        ) from error
    if not kind:
        raise KallaError(Code.DATA_NOT_FOUND, f"The file {text} does not exist.")
    if kind != "file":
        what = "a folder" if kind == "folder" else "not a regular file"
        raise KallaError(Code.DATA_NOT_FOUND, f"The path {text} is {what}; name a file.")
    return path
