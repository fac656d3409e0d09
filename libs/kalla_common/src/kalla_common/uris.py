"""URIs: sources as they may be shown, with the password masked, and what no URI may hold."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit

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

MAX_URL_CHARACTERS: Final = 2048
_URL: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
# Nobody can see them, some parsers drop them, and in a header or a log line they begin a new one.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def base_url_problem(url: str) -> str | None:
    """What keeps `url` from being an HTTP address to whose path more is added; None if nothing does.

    The sentence has no subject and no full stop.
    """
    if len(url) > MAX_URL_CHARACTERS:
        return f"is longer than {MAX_URL_CHARACTERS} characters"
    if _URL.fullmatch(url) is None or _BAD_ESCAPE.search(url):
        return "has characters that no URL may have; percent-encode them"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "cannot be parsed"
    if parts.scheme not in ("http", "https") or not host or _HOST_NAME.fullmatch(host) is None or port == 0:
        return "must be an http:// or https:// URL with a host"
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        return "must not hold credentials"
    if "?" in url or "#" in url:
        return "must not have a query or a fragment: more is added to its path"
    return None


def has_control_characters(uri: str) -> bool:
    """Whether `uri` has characters that cannot be seen and end lines, headers or texts."""
    return _CONTROL.search(uri) is not None


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
