"""Refuse forms that another site makes a visitor's browser send (cross-site request forgery).

The browser itself says where a request comes from, in Sec-Fetch-Site and Origin, which a page cannot forge. So there
is no token to sign and no secret to share: every replica decides alike, and a form opened before a restart or a
failover is still good after it. A request with neither header is no browser of the last years, hence has no visitor
to abuse. The same rule guards the Go standard library's http.CrossOriginProtection.
"""

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_cross_site(method: str, fetch_site: str | None, origin: str | None, host: str) -> bool:
    """True when a browser says that `method` was sent on behalf of a page that is not ours. Pure."""
    if method in SAFE_METHODS:
        return False
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")  # "none": typed or bookmarked by the visitor
    if origin is not None:
        return urlsplit(origin).netloc != host  # also refuses "null", the origin of sandboxed pages
    return False


def install(app: Flask) -> None:
    @app.before_request
    def refuse_cross_site() -> None:
        headers = request.headers
        if is_cross_site(request.method, headers.get("Sec-Fetch-Site"), headers.get("Origin"), request.host):
            raise Forbidden("This form was sent from another site.")
