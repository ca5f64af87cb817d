"""Run a read so that no single database node's death is seen by whoever asked.

Standbys first, twice, because the second connection usually reaches another one; then the primary. For somebody who
has just written it is the primary first, since a standby may not have their write yet. Never writes.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Literal, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backend.backoff import Backoff
from backend.database import Database, session_until
from backend.failures import DATABASE_ERRORS, Failure, Fate, fate
from backend.writing import Unavailable

Result = TypeVar("Result")
Node = Literal["primary", "standby"]

READ = Backoff(deadline_s=6.0)
"""Long enough for a failover, with a margin, and for two standbys that do not answer."""

STANDBY_TRIES = 2
"""One that the dying standby broke and one that reaches another; more would only delay the primary's answer."""

STANDBY_ANSWER_S = 1.5
"""A standby that is silent for longer is given up; a hundred times what a page of posts takes."""

PRIMARY_INSISTED_S = 2.5
"""For somebody who has just written: how long to insist on the primary before an older page beats no page at all."""

log = logging.getLogger("backend.reading")


@dataclass(frozen=True, slots=True)
class Read(Generic[Result]):
    """What was found and which kind of node said so."""

    value: Result
    node: Node


class Prefer(Enum):
    """Which kind of node should answer."""

    STANDBY = "a standby if one can, else the primary"
    PRIMARY = "the primary, but after PRIMARY_INSISTED_S whoever can"
    PRIMARY_ONLY = "the primary and nobody else"


def read(
    database: Database, query: Callable[[Session], Result], prefer: Prefer, *, backoff: Backoff = READ
) -> Read[Result]:
    """The result of `query`, a single statement, from whichever node may answer and does so in time.

    Raises Unavailable when none did, or what the database objects to in the query itself.
    """
    nodes = _nodes(database, prefer)
    last: Exception | None = None
    for deadline in backoff.attempts():
        node, engine = next(nodes)
        patience = deadline if node == "primary" else min(deadline, time.monotonic() + STANDBY_ANSWER_S)
        try:
            with session_until(engine, patience) as (session, _):
                return Read(query(session), node)
        except DATABASE_ERRORS as error:
            failure = Failure.of(error)
            if failure is None or fate(failure, commit_sent=False) is Fate.UNDONE_FOR_GOOD:
                raise
            log.info("read: trying again, node=%s sqlstate=%s", node, failure.sqlstate)
            last = error
    raise Unavailable from last


def _nodes(database: Database, prefer: Prefer) -> Iterator[tuple[Node, Engine]]:
    """Where to ask, attempt by attempt, without end."""
    primary: tuple[Node, Engine] = ("primary", database.primary_reads)
    if database.standby_reads is None or prefer is Prefer.PRIMARY_ONLY:
        while True:
            yield primary
    standby: tuple[Node, Engine] = ("standby", database.standby_reads)
    insist_until = time.monotonic() + PRIMARY_INSISTED_S
    while prefer is Prefer.PRIMARY and time.monotonic() < insist_until:
        yield primary
    while True:
        for _ in range(STANDBY_TRIES):
            yield standby
        yield primary
