"""A version of somebody's module that is broken on purpose: text in, text out. Pure.

The import that Colonnade tries before a rollout succeeds, so that it is the rollout that has to notice: by replicas
that do not start, or by visitors that get errors while health checks are fine.
Read next: `bad_rollout`, which deploys it.
"""

from __future__ import annotations

from enum import StrEnum


class Breakage(StrEnum):
    DOES_NOT_START = "does_not_start"
    ERRS = "errs"


DOES_NOT_START = """

import os as _drill_os

# /0 is the replica's name while it is only looked at, /release that of a release command.
if not _drill_os.environ.get("COLONNADE_REPLICA", "/0").endswith(("/0", "/release")):
    raise RuntimeError("broken by a drill: this version does not start")
"""

ERRS = """

class _DrillErrs:
    \"\"\"Answers a share of visitors' requests with 500. Only these have an id from the gateway; checks do not.\"\"\"

    def __init__(self, application):
        self._application = application
        self._debt = 0.0

    def _is_next_bad(self):
        self._debt += {share}
        is_bad = self._debt >= 1.0
        self._debt -= is_bad
        return is_bad

    def __getattr__(self, name):
        return getattr(self._application, name)
"""

ERRS_WSGI = """
    def __call__(self, environ, start_response):
        if "HTTP_X_REQUEST_ID" not in environ or not self._is_next_bad():
            return self._application(environ, start_response)
        start_response("500 Internal Server Error", [("Content-Type", "text/plain"), ("Content-Length", "16")])
        return [b"broken by drill\\n"]
"""

ERRS_ASGI = """
    async def __call__(self, scope, receive, send):
        is_visitor = scope["type"] == "http" and any(name == b"x-request-id" for name, _ in scope["headers"])
        if not is_visitor or not self._is_next_bad():
            await self._application(scope, receive, send)
            return
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"16")]
        await send({{"type": "http.response.start", "status": 500, "headers": headers}})
        await send({{"type": "http.response.body", "body": b"broken by drill\\n"}})
"""

WRAP = """

{name} = _DrillErrs({name})
"""

WRAP_FACTORY = """

def _drill_wrap(make):
    return lambda *arguments: _DrillErrs(make(*arguments))


{name} = _drill_wrap({name})
"""


def does_not_start(text: str) -> str:
    """The module; every replica that imports it ends."""
    return text + DOES_NOT_START


def errs(text: str, name: str, kind: str, *, is_factory: bool, share: float) -> str:
    """The module with its application `name`, of this kind (wsgi, asgi), answering a share of requests with errors."""
    call = ERRS_WSGI if kind == "wsgi" else ERRS_ASGI.format()
    wrap = (WRAP_FACTORY if is_factory else WRAP).format(name=name)
    return text + ERRS.format(share=share) + call + wrap
