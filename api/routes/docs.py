"""``/docs``: the REST endpoints in Swagger UI, from our own copy and under a policy that allows nothing else.

The page is in the origin where the dashboard keeps the user's key, so it may load no script of another site.
"""

import importlib.resources
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from api.problems import ProblemError

router = APIRouter(prefix="/docs", include_in_schema=False)

#: Headers of pages: they may run and load nothing but files of this gateway.
PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Khabar API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js" defer></script>
<script src="docs/start.js" defer></script>
</head>
<body><div id="swagger-ui"></div></body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
  queryConfigEnabled: false,
});
"""
# From the package fastapi-offline, which has unmodified releases of Swagger UI.
_FILES: Final = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


@router.get("")
async def page() -> Response:
    """The page."""
    return HTMLResponse(_PAGE, headers=PAGE_HEADERS)


@router.get("/start.js")
async def start() -> Response:
    """The script that starts it."""
    return Response(_START, headers=PAGE_HEADERS, media_type="text/javascript")


@router.get("/{name}")
async def file(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in _FILES:
        raise ProblemError(404, "there is nothing at this address")
    path = importlib.resources.files("fastapi_offline").joinpath("static", name)
    return FileResponse(str(path), headers=PAGE_HEADERS, media_type=_FILES[name])
