"""The frontend service: the blog as pages for people.

Keeps nothing: no database, no session, no secret. So any replica can answer any request, and one that dies takes
nothing along. Posts come from the `backend` service; what belongs here is turning them into HTML and forms into posts.

Read next: `pages.py` for the routes, `backend_client.py` for how a broken connection to the backend is survived.
"""

import logging
import sys
from collections.abc import Mapping

from colonnade.client import WsgiTraceMiddleware
from flask import Flask, Response

from frontend import cross_site, error_pages, health, pages, stylesheet
from frontend.backend_client import BackendClient
from frontend.settings import Settings

MAX_REQUEST_BYTES = 256 * 1024
"""A form escapes each byte as three; the longest post still fits, in any script."""

SECURITY_HEADERS = {
    # No inline style or script, nothing from elsewhere; whatever slips through the Markdown has nowhere to go.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": browsers would then send "Origin: null" with our own forms, which `cross_site.py` refuses.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """The WSGI application. Settings come from `environ`, by default the process's. Raises SettingsError."""
    settings = Settings.from_environ(environ)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line for every request to the backend is too much

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    backend = BackendClient(settings.backend_url)
    app.extensions["backend"] = backend
    app.register_blueprint(health.blueprint)
    app.register_blueprint(pages.make_blueprint(backend))
    stylesheet.install(app)
    cross_site.install(app)
    error_pages.install(app)
    app.wsgi_app = WsgiTraceMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    @app.context_processor
    def for_the_footer() -> dict[str, str]:
        return {"frontend_replica": settings.replica}

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        response.headers["X-Served-By"] = settings.replica
        return response

    return app
