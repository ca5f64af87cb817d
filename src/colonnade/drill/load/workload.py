"""What the load consists of, as data: which requests, how often, how a write is marked and found again.

Actions are templates, so a workload can be printed, sent to another process and read from a file. Placeholders:
`{id}` an item that is known to exist, `{token}` the unique mark of a write, `{key}` a fresh idempotency key.
Never sends anything. Read next: `mix`, which fills the templates in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.core.errors import SpecError
from colonnade.drill.load.ledger import Kind

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of request. `weight` is relative to the other actions of its kind. Raises SpecError."""

    name: str
    kind: Kind
    method: str
    path: str
    weight: float = 1.0
    headers: Headers = ()
    body: str = ""
    shows_newest: int = 0
    """For a list by which visitors look for their own item: how many of the newest it shows. 0 when the answer shows
    the item however many others came after it."""
    status_min: int = 200
    status_max: int = 299
    """An answer within these bounds is what the action expects; a form that redirects says 303."""

    def __post_init__(self) -> None:
        texts = (self.method, self.path, *(text for header in self.headers for text in header))
        if any("\r" in text or "\n" in text for text in texts):
            raise self._refusal("has a line break in its method, path or headers", "take it out")
        if not self.path.startswith("/") or " " in self.path or self.weight < 0:
            raise self._refusal(
                f"has the path {self.path!r} and the weight {self.weight:g}",
                "a path begins with / and has no blanks; a weight is 0 or more",
            )
        if self.kind is Kind.WRITE and not self.needs_token:
            raise self._refusal(
                "does not carry {token}, so no check could find what it wrote", "put {token} into its body"
            )

    def _refusal(self, problem: str, hint: str) -> SpecError:
        return SpecError(problem, hint=hint, subject=f"action {self.name!r}")

    @property
    def needs_token(self) -> bool:
        return "{token}" in self.path + self.body

    @property
    def needs_id(self) -> bool:
        return "{id}" in self.path or "{id}" in self.body

    def is_expected(self, status: int | None) -> bool:
        """Whether this status is the answer that the action asks for."""
        return status is not None and self.status_min <= status <= self.status_max


@dataclass(frozen=True, slots=True)
class Workload:
    """A mix of actions, and how to find its writes again."""

    name: str
    actions: tuple[Action, ...]
    read_own: tuple[Action, ...] = ()
    """Reads by which a visitor looks for what they wrote: the answer then contains its token. `{id}` and `{token}` are
    the item's own. They take turns, whatever their weights. Without any there are no sessions."""
    list_path: str = ""
    """JSON list of what the system holds, by page: `{page}` counts from 1, `{per_page}` is the size. Empty for none."""
    text_field: str = "title"
    """The field of a listed item that carries the token."""
    item_path: str = ""
    """One item, by `{id}` or `{token}`; its answer holds the token. Empty for none."""
    sql: str = ""
    """Query for (id, text) of what was written; its one parameter is a LIKE pattern."""
    headers: Headers = ()
    """Of the requests for the list and for items; actions have their own."""


BLOG = Workload(
    name="blog",
    actions=(
        Action("home", Kind.READ, "GET", "/", weight=3),
        Action("post_page", Kind.READ, "GET", "/post/{id}", weight=3),
        Action("list_posts", Kind.READ, "GET", "/api/posts?page=1", weight=2),
        Action("get_post", Kind.READ, "GET", "/api/posts/{id}", weight=2),
        Action(
            "create_post",
            Kind.WRITE,
            "POST",
            "/api/posts",
            headers=(("Content-Type", "application/json"), ("Idempotency-Key", "{key}")),
            body='{"title": "{token}", "content": "Written by a drill to be found again: {token}."}',
        ),
    ),
    # Not by "/api/posts/{id}" alone: who asks for one post that a standby lacks is answered by the primary.
    read_own=(
        Action("own_in_list", Kind.READ, "GET", "/api/posts?page=1&per_page=100", shows_newest=100),
        Action("own_post", Kind.READ, "GET", "/api/posts/{id}"),
    ),
    list_path="/api/posts?page={page}&per_page={per_page}",
    sql="SELECT id::text, title FROM posts WHERE title LIKE %s",
)


def reads_of(paths: Sequence[str]) -> Workload:
    """Plain reads of these paths in equal shares, for applications that are not the blog."""
    return Workload("paths", tuple(Action(path, Kind.READ, "GET", path) for path in paths))
