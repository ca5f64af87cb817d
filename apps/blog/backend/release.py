"""Bring the database to this version: `python -m backend.release`, before any replica of it starts.

Safe to run twice and at once: everything happens in one transaction, behind one lock. The first posts are written
only by the run that creates the table for them, so never into a blog that has, or has ever had, posts.
"""

import logging
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from colonnade.client import Backoff, CommitUnknown, Database, Policy, SettingsError, Unavailable, idempotent
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from backend.models import Post

PATIENCE = Backoff(deadline_s=20.0)
"""The database may be starting at this very moment, or in the middle of a failover."""

LOCK = 0x626C6F67
"""The advisory lock that lets one release run at a time: "blog" in ASCII."""

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
FIRST_POSTS = Path(__file__).resolve().parent / "first_posts"

log = logging.getLogger("backend.release")


@idempotent
def release(session: Session) -> None:
    """Migrate to the newest schema and write the first posts, as one transaction; repeating it changes nothing."""
    session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    connection = session.connection()
    is_new = MigrationContext.configure(connection).get_current_revision() is None
    _upgrade(connection)
    if is_new:
        for path in sorted(FIRST_POSTS.glob("*.md")):
            session.add(_post(path.read_text(encoding="utf-8")))
            session.flush()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _post(text: str) -> Post:
    title, _, content = text.partition("\n")
    return Post(title=title.removeprefix("# ").strip(), content=content.strip())


def main() -> int:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        database = Database.from_environ(policy=Policy(write=PATIENCE))
    except SettingsError as error:
        log.error("%s", error)
        return 2
    try:
        database.write(release)
    except (Unavailable, CommitUnknown) as error:
        log.error("the database accepted no writes within %.0f s: %s", PATIENCE.deadline_s, error.__cause__)
        return 1
    finally:
        database.close()
    log.info("the database is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
