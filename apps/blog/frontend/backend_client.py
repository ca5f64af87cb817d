"""Calls to the backend service, through one shared pool of connections.

A connection that breaks is tried once more if repeating is harmless: a read, or a write that carries its idempotency
key, which every write of ours does. Waiting out a failover is the backend's work, so nothing here tries for long.
"""

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
from colonnade.client import trace_headers
from flask import g, request

from frontend.recent_write import COOKIE, readable_token

TIMEOUT = httpx.Timeout(connect=2.0, read=10.0, write=5.0, pool=5.0)
"""Reading outlasts the eight seconds in which the backend tries to get a write through, so that we hear its verdict."""

LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=5.0)
"""More than the threads of one process can use; kept connections end before a proxy is likely to close them."""

PAUSE_S = 0.05
"""Before the second try, half to all of it: a restarted proxy listens again within milliseconds."""

CONNECTION_BROKE = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)

log = logging.getLogger("frontend.backend_client")
_random = random.Random()  # noqa: S311 — spreads load, guards nothing


class BackendUnavailable(Exception):
    """The backend did not answer, or said that it cannot now. A write may be sent again under the same key."""


class NoSuchPost(Exception):
    """The backend has no such post, or no such page of them."""


class Refused(Exception):
    """The backend objects to the text; `errors` says for each field why."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class KeyReused(Exception):
    """This form was sent before with another text."""


@dataclass(frozen=True, slots=True)
class Post:
    id: int
    title: str
    content: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Post":
        created, updated = datetime.fromisoformat(body["created_at"]), datetime.fromisoformat(body["updated_at"])
        return cls(body["id"], body["title"], body["content"], created, updated)


@dataclass(frozen=True, slots=True)
class PostPage:
    posts: list[Post]
    number: int
    has_next: bool


class BackendClient:
    """The API of posts, as functions. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT, limits=LIMITS, trust_env=False)
        # All visitors share this client: a cookie that it kept for one would go out with another's call.
        self._http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        self._http.close()

    def list_posts(self, page: int, per_page: int) -> PostPage:
        body = self._call("GET", "/api/posts", params={"page": page, "per_page": per_page})
        return PostPage([Post.from_json(each) for each in body["posts"]], body["page"], body["has_next"])

    def get_post(self, post_id: int) -> Post:
        return Post.from_json(self._call("GET", f"/api/posts/{post_id}"))

    def create_post(self, title: str, content: str, key: str) -> Post:
        return self._write("POST", "/api/posts", title, content, key)

    def replace_post(self, post_id: int, title: str, content: str, key: str) -> Post:
        return self._write("PUT", f"/api/posts/{post_id}", title, content, key)

    def _write(self, method: str, path: str, title: str, content: str, key: str) -> Post:
        draft = {"title": title, "content": content}
        return Post.from_json(self._call(method, path, json=draft, headers={"Idempotency-Key": key}))

    def _call(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """The JSON of a good answer; raises one of this module's errors for any other."""
        token = readable_token(request)
        cookies = {} if token is None else {"Cookie": f"{COOKIE}={token}"}
        try:
            sent = {**(headers or {}), **cookies, **trace_headers()}
            response = self._send_twice_at_most(method, path, headers=sent, **more)
        except httpx.TransportError as error:
            log.warning("backend unreachable: %s %s: %r", method, path, error)
            raise BackendUnavailable from error
        g.backend_replica = response.headers.get("X-Served-By")
        g.recent_write = response.cookies.get(COOKIE)
        return _content(response)

    def _send_twice_at_most(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **more)
        except CONNECTION_BROKE as error:
            log.info("backend connection broke, once more: %s %s: %r", method, path, error)
            time.sleep(_random.uniform(PAUSE_S / 2, PAUSE_S))
            return self._http.request(method, path, **more)


def _content(response: httpx.Response) -> Any:
    status = response.status_code
    if status < 300:
        return response.json()
    if status == 404:
        raise NoSuchPost
    if status >= 500:
        log.warning("backend answered %d", status)
        raise BackendUnavailable
    problem = response.json() if "json" in response.headers.get("Content-Type", "") else {}
    if problem.get("code") == "idempotency_key_reused":
        raise KeyReused
    if "errors" in problem:
        raise Refused(problem["errors"])
    raise RuntimeError(f"the backend answered {status} to a request of ours")
