"""Which format an Accept header asks for."""

from __future__ import annotations

from collections.abc import Sequence


def choose(accept: str | None, offered: Sequence[str]) -> str | None:
    """Return the media type of `offered` that `accept` wants most, None if it wants none.

    Of equally wanted ones the first offered is taken; no header wants everything.
    """
    if accept is None or not accept.strip():
        return offered[0]
    wanted = [_parsed(part) for part in accept.split(",") if part.strip()]
    best, best_quality = None, 0.0
    for media_type in offered:
        quality = _quality(media_type, wanted)
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best


def _quality(media_type: str, wanted: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers `media_type`."""
    main = media_type.partition("/")[0]
    qualities = dict(wanted)
    for media_range in (media_type, f"{main}/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0


def _parsed(part: str) -> tuple[str, float]:
    media_range, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                # What cannot be understood asks for nothing.
                quality = 0.0
    return media_range.lower(), quality
