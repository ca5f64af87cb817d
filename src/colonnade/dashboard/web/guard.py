"""What stands before every route: the host that was asked, where the request comes from, who sends it, and the headers
that every answer has. As ASGI middleware, so that no route can be reached around it.

- The `Host` must be one of ours: a name that an attacker makes point to 127.0.0.1 (DNS rebinding) is not.
- What changes something must come from our own page: its `Origin` is compared. What other pages of this machine send
  (same site, other port) is refused by `Sec-Fetch-Site` even where it only reads.
- Who asks needs both halves of a session, but for the few paths that are OPEN. A viewer may only read.
"""

from __future__ import annotations

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from colonnade.dashboard.web.sessions import Role, Sessions

PAGE = "/"
"""A link to it may stand anywhere."""

OPEN = frozenset({PAGE, "/api/login", "/assets/{name}", "/metrics", "/sd", "/healthz"})
"""Routes that anybody on this machine may ask for. The page and its assets hold nothing of the system; `/metrics` and
`/sd` are what Prometheus reads. Tests walk over all routes with this list: it is the only place that opens one."""

OPEN_PREFIXES = ("/assets/",)

REPORTS_PREFIX = "/reports/"
"""Documents that a frame shows: they are asked for with a pass in the address, which the page got for this one path."""

FOR_VIEWERS = frozenset({"/api/logout"})
"""What changes something and is nobody else's business."""

PROOF_HEADER = "X-Colonnade-Proof"

READING = frozenset({"GET", "HEAD"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""On every answer that does not bring its own. There is no inline script or style, nothing is evaluated, nothing comes
from elsewhere, and nobody frames us."""


def is_ours(host: str) -> bool:
    """Whether a request with this `Host` can be meant for us. An address of digits, and `localhost`, are what they say,
    also through a tunnel with another port; any other name may be one that somebody makes point to us."""
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    name = name or port
    if name.lower() == "localhost":
        return True
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_our_page(origin: str, host: str) -> bool:
    """The page that was got from the place that is asked now."""
    return origin in (f"http://{host}", f"https://{host}")


class Guard:
    """The middleware. `cookie_name` differs from one system to the next: ports share cookies."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, cookie_name: str) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie_name = cookie_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing of ours speaks anything else
        refusal = self._refusal(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._app if refusal is None else refusal)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """Why it is not let through; None when it is. Leaves the role in the scope."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_ours(host):
            return _refused(
                421, "this is not the host you asked for", "open the address that `colonnade dashboard` prints"
            )
        is_reading = scope["method"] in READING
        origin = headers.get("origin")
        if (origin is not None or not is_reading) and not is_our_page(origin or "", host):
            return _refused(403, "the request does not come from this page", "use the page, or `colonnade` itself")
        path = scope["path"]
        if path != PAGE and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refused(403, "the request comes from another page", "use the page, or `colonnade` itself")
        if path in OPEN or path.startswith(OPEN_PREFIXES):
            return None
        role = self._sessions.role_of(_cookie(headers, self._cookie_name), headers.get(PROOF_HEADER, ""))
        if role is None and path.startswith(REPORTS_PREFIX) and is_reading:
            given = QueryParams(scope["query_string"]).get("pass", "")
            return None if self._sessions.opens(given, path) else _refused(401, "this pass is over", "open it again")
        if role is None:
            return _refused(401, "nobody is logged in", "`colonnade dashboard` prints how to")
        if not is_reading and role is not Role.OPERATOR and path not in FOR_VIEWERS:
            return _refused(403, "you may look, not change", "log in with the operator's token")
        scope["colonnade.role"] = role
        return None


def _cookie(headers: Headers, name: str) -> str:
    """Starlette's parser lives in its Request, which would be made for every asset as well."""
    for part in headers.get("cookie", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""


def _refused(status: int, error: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": error, "hint": hint}, status_code=status)
