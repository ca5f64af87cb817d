"""The API of posts: list, read, create, replace. Turns HTTP into drafts and queries, and their results into HTTP.

How a read or a write outlives a database node is not here; see `colonnade.client`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colonnade.client import Answer, IdempotencyKeys
from colonnade.client.flask import Visits
from colonnade.client.idempotency import hash_request, is_valid_key
from flask import Blueprint, Response, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound, UnsupportedMediaType

from backend.models import Post, idempotency_keys
from backend.validation import Draft, Invalid, Page

ID_MAX = 2**63 - 1
"""What PostgreSQL's bigint holds."""

NO_SUCH_POST = "There is no such post."

KEYS = IdempotencyKeys(idempotency_keys)


def make_blueprint(visits: Visits) -> Blueprint:
    """The routes under `/api/posts`."""
    blueprint = Blueprint("posts", __name__, url_prefix="/api/posts")
    api = PostsApi(visits)
    blueprint.get("")(api.list)
    blueprint.post("")(api.create)
    blueprint.get("/<int:post_id>")(api.show)
    blueprint.put("/<int:post_id>")(api.replace)
    return blueprint


@dataclass(frozen=True, slots=True)
class PostsApi:
    visits: Visits

    def list(self) -> Response:
        """Newest first. One row more than asked for tells whether there is a next page, without counting them all."""
        page = Page.from_query(request.args)
        query = select(Post).order_by(Post.id.desc()).limit(page.size + 1).offset((page.number - 1) * page.size)
        found = self.visits.here.read(lambda session: list(session.scalars(query)))
        body = {
            "posts": [post.as_json() for post in found.value[: page.size]],
            "page": page.number,
            "per_page": page.size,
            "has_next": len(found.value) > page.size,
        }
        return _respond(Answer.of(200, body), read_from=found.node)

    def show(self, post_id: int) -> Response:
        """One post. What a standby does not have, the primary is asked for: the standby may be a moment behind."""
        if post_id > ID_MAX:
            raise NotFound(NO_SUCH_POST)

        def query(session: Session) -> Post | None:
            return session.get(Post, post_id)

        found = self.visits.here.read(query)
        if found.value is None and found.node == "standby":
            found = self.visits.here.read(query, strict=True)
        if found.value is None:
            raise NotFound(NO_SUCH_POST)
        return _respond(Answer.of(200, found.value.as_json()), read_from=found.node)

    def create(self) -> Response:
        draft = _draft()

        def insert(session: Session) -> Answer:
            post = Post(title=draft.title, content=draft.content)
            session.add(post)
            session.flush()
            return Answer.of(201, post.as_json())

        return self._write(draft, insert)

    def replace(self, post_id: int) -> Response:
        draft = _draft()

        def update(session: Session) -> Answer:
            post = session.get(Post, post_id, with_for_update=True) if post_id <= ID_MAX else None
            if post is None:
                raise NotFound(NO_SUCH_POST)
            post.title, post.content, post.updated_at = draft.title, draft.content, func.now()
            session.flush()
            return Answer.of(200, post.as_json())

        return self._write(draft, update)

    def _write(self, draft: Draft, effect: Callable[[Session], Answer]) -> Response:
        """Have `effect` once, and exactly once if the request carries an Idempotency-Key."""
        key = _key()
        request_hash = hash_request(request.method, request.path, draft.as_json())

        def work(session: Session) -> Answer:
            return effect(session) if key is None else KEYS.once(session, key, request_hash, effect)

        return _respond(self.visits.here.write(work, idempotent=key is not None))


def _draft() -> Draft:
    # Only JSON: a form on a foreign site can send text/plain or form data without asking, but not this.
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    body: Any = request.get_json()
    return Draft.from_json(body)


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not is_valid_key(key):
        raise Invalid({"Idempotency-Key": "Expected 1 to 255 visible ASCII characters."})
    return key


def _respond(answer: Answer, *, read_from: str | None = None) -> Response:
    response = Response(answer.body, answer.status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if read_from is not None:
        response.headers["X-Read-From"] = read_from
    if answer.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if answer.status == 201:
        post_id = response.get_json()["id"]
        response.headers["Location"] = url_for("posts.show", post_id=post_id)
    return response
