"""Source URIs as they may be shown: with the password masked."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"

# user[:password]@ directly after scheme://, up to the last @ before the path begins.
_USERINFO: Final = re.compile(
    r"^(?P<head>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#:@]*):(?P<secret>[^/?#]*)@"
)
# A password with an unescaped / ? or # hides the @: then all up to the last @ is taken for it.
_LOOSE_USERINFO: Final = re.compile(
    r"^(?P<head>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#:@]*):(?P<secret>\S*)@"
)
# A later @ with a host and a path: the one before it belongs to the password. Rather too much is masked.
_LATER_HOST: Final = re.compile(r"@\S*@[^@/?#\s]+/")
# Secrets that drivers accept as query parameters.
_PARAMETER: Final = re.compile(
    r"(?P<head>[?&](?:password|passfile|sslpassword|api_key|token|secret|access_key|secret_key"
    r"|x-amz-signature|x-amz-security-token)=)(?P<secret>[^&#]*)",
    re.IGNORECASE,
)


def mask_uri(uri: str) -> str:
    """Return `uri` with every password in it replaced by `***`."""
    found = _userinfo(uri)
    masked = uri
    if found is not None and found["secret"]:
        masked = f"{found['head']}{found['user']}:{MASK}@{uri[found.end() :]}"
    return _PARAMETER.sub(lambda m: m["head"] + MASK if m["secret"] else m[0], masked)


def restore_secret(masked: str, stored: str) -> str:
    """Return `masked` with the secrets of `stored` where it says `***`.

    A URI that was read from Kalla and posted back keeps its password that way. Without a
    `***` in it, `masked` is returned as it is. Host, user and the rest come from `masked`;
    but a secret is only restored for the server it was stored for, so that nobody can send
    a stored password to a host of their own.

    Raises:
        ValueError: there is a `***` and no stored secret fits it.
    """
    user_info, stored_info = _userinfo(masked), _userinfo(stored)
    hidden = user_info is not None and user_info["secret"] == MASK
    if not hidden and not any(m["secret"] == MASK for m in _PARAMETER.finditer(masked)):
        return masked
    if _server(masked) != _server(stored):
        msg = "the masked password belongs to another server or user: give the password in full"
        raise ValueError(msg)
    result = masked
    if user_info is not None and hidden:
        if stored_info is None:
            msg = "there is no stored password for ***: give the password in full"
            raise ValueError(msg)
        result = (
            f"{user_info['head']}{user_info['user']}:{stored_info['secret']}@" + masked[user_info.end() :]
        )
    return _restore_parameters(result, stored)


def _restore_parameters(masked: str, stored: str) -> str:
    known = {m["head"][1:].lower(): m["secret"] for m in _PARAMETER.finditer(stored)}

    def secret(match: re.Match[str]) -> str:
        if match["secret"] != MASK:
            return match[0]
        try:
            return match["head"] + known[match["head"][1:].lower()]
        except KeyError:
            msg = "there is no stored secret for ***: give it in full"
            raise ValueError(msg) from None

    return _PARAMETER.sub(secret, masked)


def _userinfo(uri: str) -> re.Match[str] | None:
    found = _USERINFO.match(uri)
    if found is not None and not _LATER_HOST.search(uri, found.end() - 1):
        return found
    return _LOOSE_USERINFO.match(uri)


def _server(uri: str) -> tuple[str, str, str]:
    """Scheme, user and host:port."""
    match = _userinfo(uri)
    scheme, _, rest = uri.partition("://")
    tail = uri[match.end() :] if match else rest.rpartition("@")[2]
    user = match["user"] if match else ""
    return scheme.lower(), unquote(user), re.split(r"[/?#]", tail, maxsplit=1)[0].lower()
