"""The API of posts: list, read, create, replace. Turns HTTP into drafts and queries, and their results into HTTP.

How a read or a write outlives a database node is not here; see `reading.py` and `writing.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, g, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound, UnsupportedMediaType

from backend.database import Database
from backend.idempotency import Answer, claim, hash_request, is_valid_key, record
from backend.models import Post
from backend.reading import Node, Prefer, read
from backend.recent_write import RecentWrite
from backend.validation import Draft, Invalid, Page
from backend.writing import write

ID_MAX = 2**63 - 1
"""What PostgreSQL's bigint holds."""

NO_SUCH_POST = "There is no such post."


def make_blueprint(database: Database, recent_write: RecentWrite) -> Blueprint:
    """The routes under `/api/posts`."""
    blueprint = Blueprint("posts", __name__, url_prefix="/api/posts")
    api = PostsApi(database, recent_write)
    blueprint.get("")(api.list)
    blueprint.post("")(api.create)
    blueprint.get("/<int:post_id>")(api.show)
    blueprint.put("/<int:post_id>")(api.replace)
    blueprint.after_request(api.mark_writes)
    return blueprint


@dataclass(frozen=True, slots=True)
class PostsApi:
    database: Database
    recent_write: RecentWrite

    def list(self) -> Response:
        """Newest first. One row more than asked for tells whether there is a next page, without counting them all."""
        page = Page.from_query(request.args)
        query = select(Post).order_by(Post.id.desc()).limit(page.size + 1).offset((page.number - 1) * page.size)
        found = read(self.database, lambda session: list(session.scalars(query)), self._preference())
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

        found = read(self.database, query, self._preference())
        if found.value is None and found.node == "standby":
            found = read(self.database, query, Prefer.PRIMARY_ONLY)
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
        g.is_write = True
        request_hash = hash_request(request.method, request.path, draft.as_json())

        def work(session: Session) -> Answer:
            if key is None:
                return effect(session)
            earlier = claim(session, key, request_hash)
            if earlier is not None:
                return earlier
            answer = effect(session)
            record(session, key, answer)
            return answer

        return _respond(write(self.database.primary, work, keyed=key is not None))

    def _preference(self) -> Prefer:
        return Prefer.PRIMARY if self.recent_write.is_marked(request) else Prefer.STANDBY

    def mark_writes(self, response: Response) -> Response:
        """Also when the write failed: if its outcome is unknown, only the primary can tell."""
        if g.get("is_write", False):
            self.recent_write.mark(response, request)
        return response


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


def _respond(answer: Answer, *, read_from: Node | None = None) -> Response:
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
