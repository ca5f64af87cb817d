"""The backend service: posts as JSON over HTTP, kept in a replicated PostgreSQL.

`create_app` puts the parts together and is the only place that knows all of them. What belongs here: the posts,
their rules and their survival of a dying database. What does not: anything a browser sees; that is `frontend`.

Read next: `posts.py` for the API. How reads and writes outlive a dying database is in `colonnade.client`, which any
application may use.
"""

import logging
import sys
from collections.abc import Mapping

from colonnade.client import Database, Policy, Settings, TokenSigner, WsgiTraceMiddleware
from colonnade.client.flask import Visits
from colonnade.client.metrics import WsgiMetrics
from flask import Flask, Response

from backend import health, posts, problems
from backend.recent_write import COOKIE

MAX_REQUEST_BYTES = 128 * 1024
"""The longest post (16,000 characters) escaped by the most wasteful JSON encoder still fits."""

POLICY = Policy(stale_after_s=2.5)
"""For somebody who has just written: how long to insist on that before an older page beats none at all."""


def create_app(environ: Mapping[str, str] | None = None) -> Flask:
    """The WSGI application; connects to nothing until the first request needs it.

    Settings come from `environ`, by default the process's. Raises SettingsError when they make no sense.
    """
    settings = Settings.from_environ(environ)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    database = Database(settings, POLICY)
    app.extensions["database"] = database
    app.register_blueprint(health.blueprint)
    app.register_blueprint(
        posts.make_blueprint(Visits(app, database, TokenSigner(settings.signing_key), cookie=COOKIE))
    )
    problems.install(app)
    app.wsgi_app = WsgiTraceMiddleware(app.wsgi_app)  # type: ignore[method-assign]

    app.wsgi_app = WsgiMetrics(app.wsgi_app)  # type: ignore[method-assign]

    @app.after_request
    def say_who_answered(response: Response) -> Response:
        response.headers["X-Served-By"] = settings.replica
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app
