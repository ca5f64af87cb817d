"""The files that a browser gets: the page, its parts, and reports of drills in a frame that may do nothing."""

from __future__ import annotations

from importlib.resources import files

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.core.errors import ColonnadeError
from colonnade.dashboard.web.asking import Asker
from colonnade.dashboard.web.offers import refused

TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}

PAGE = "index.html"

REPORT_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
"""A report brings its own styles. It has no script and gets none, is of no origin, and reaches nobody."""


def document_routes(asker: Asker) -> list[Route]:
    """Assets are read from the package once."""
    assets = {
        path.name: path.read_bytes()
        for path in (files("colonnade.dashboard.web") / "assets").iterdir()
        if path.name[path.name.rfind(".") :] in TYPES
    }

    async def page(_: Request) -> Response:
        return Response(assets[PAGE], media_type="text/html")

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in assets or name == PAGE:
            return JSONResponse({"error": "there is no such file", "hint": ""}, status_code=404)
        return Response(assets[name], media_type=TYPES[name[name.rfind(".") :]])

    async def report(request: Request) -> Response:
        try:
            found = await asker.read("/drills/report", {"run": request.path_params["run"]})
        except ColonnadeError as error:
            return refused(error)
        return Response(found["html"], media_type="text/html", headers=REPORT_HEADERS)

    return [Route("/", page), Route("/assets/{name}", asset), Route("/reports/{run}", report)]
