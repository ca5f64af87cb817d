"""Serve a Flask application on a free port for as long as a test needs it, and build the two services for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from colonnade.client import Database
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

import backend
import frontend


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Tests say what they expect; a line per request would hide it."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address at which `app` answers, with a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@contextmanager
def backend_app(primary_url: str, standby_url: str | None = None, **more: str) -> Iterator[Flask]:
    """A backend with pools of its own, which are closed at the end."""
    environ = {"DATABASE_URL": primary_url, "COLONNADE_REPLICA": "backend/1", **more}
    if standby_url is not None:
        environ["DATABASE_READ_URL"] = standby_url
    app = backend.create_app(environ)
    try:
        yield app
    finally:
        database_of(app).close()


@contextmanager
def frontend_app(backend_url: str) -> Iterator[Flask]:
    app = frontend.create_app({"BACKEND_URL": backend_url, "COLONNADE_REPLICA": "frontend/1"})
    try:
        yield app
    finally:
        app.extensions["backend"].close()


def database_of(app: Flask) -> Database:
    database = app.extensions["database"]
    if not isinstance(database, Database):
        raise TypeError("this application has no database")
    return database
