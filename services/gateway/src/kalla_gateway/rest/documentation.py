"""The pages for people: what is here (/), and the API's documentation (/docs, /redoc), without a network.

Scripts and styles of the documentation come from an installed wheel, and the pages forbid the browser
to load anything from elsewhere. Their addresses are relative: a proxy may serve Kalla below a path.
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from kalla_common.errors import KallaError
from kalla_common.telemetry import redact
from starlette.exceptions import HTTPException

from kalla_gateway.rest.context import Services

router = APIRouter(include_in_schema=False)

_LINKS: Final = {
    "documentation": "/docs",
    "reference": "/redoc",
    "openapi": "/openapi.json",
    "health": "/health",
    "ready": "/ready",
    "metrics": "/metrics",
    "sources": "/api/sources",
    "recipes": "/api/recipes",
    "runs": "/api/runs",
}
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "redoc.standalone.js": "text/javascript",
}
_NO_ICON: Final = "data:,"
_POLICY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
}


@router.get("/")
async def overview(request: Request, services: Services) -> Response:
    """Say what this is, whether it is ready, and where to go on: HTML for browsers, else JSON."""
    problem = None
    try:
        await services.database.ping()
        await services.control.check()
    except KallaError as error:
        problem = redact(error.message)
    content: dict[str, Any] = {
        "name": "Kalla",
        "version": version("kalla"),
        "description": request.app.description,
        "ready": problem is None,
        "problem": problem,
        "links": _LINKS,
    }
    headers = {"vary": "Accept"}
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(content), headers=headers | _POLICY)
    return _Indented(content, headers=headers)


@router.get("/docs")
async def documentation(request: Request) -> Response:
    """Swagger UI: every endpoint, to be read and to be tried."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url=_NO_ICON,
        # Else it would have a server on the internet check the document.
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers.update(_POLICY)
    return page


@router.get("/redoc")
async def reference(request: Request) -> Response:
    """Every endpoint, as one long page."""
    page = get_redoc_html(
        openapi_url="openapi.json",
        title=request.app.title,
        redoc_js_url="docs/redoc.standalone.js",
        redoc_favicon_url=_NO_ICON,
        with_google_fonts=False,
    )
    page.headers.update(_POLICY)
    return page


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """A script or the styles of the documentation pages."""
    if name not in _ASSETS:
        raise HTTPException(404)
    return FileResponse(_folder() / name, media_type=_ASSETS[name], headers={"cache-control": "no-cache"})


@cache
def _folder() -> Path:
    return Path(str(files("fastapi_offline"))) / "static"


class _Indented(JSONResponse):
    """JSON as people read it in a terminal."""

    def render(self, content: Any) -> bytes:
        """Encode it, a line a member."""
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _page(content: dict[str, Any]) -> str:
    links = "\n".join(
        f'<li><a href="{escape(path.removeprefix("/"))}">{escape(path)}</a> {escape(name)}</li>'
        for name, path in content["links"].items()
    )
    state = "It is ready." if content["ready"] else f"It is not ready: {content['problem']}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Kalla</title><link rel="icon" href="{_NO_ICON}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40em; margin: 3em auto; padding: 0 1em }}
</style>
</head>
<body>
<h1>Kalla {escape(content["version"])}</h1>
<p>{escape(content["description"])}</p>
<p>{escape(state)}</p>
<ul>
{links}
</ul>
</body>
</html>
"""
