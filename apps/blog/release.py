"""The release step: `python release.py`, before any replica of a new version starts.

Most starts find the schema as they left it, so that is asked first, with nothing imported but the driver: a tenth of
a second instead of the second that the migration tools take to load. Everything else is `backend.release`.
"""

import os
import sys
from pathlib import Path

import psycopg

VERSIONS = Path(__file__).resolve().parent / "migrations" / "versions"


def newest_revision() -> str:
    """The last migration's number: each file is named `<revision>_<what it does>.py`."""
    return max(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def is_up_to_date(url: str) -> bool:
    """True only when the database says that it has the newest revision; any doubt is for the long way."""
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except psycopg.Error:
        return False
    return rows == [(newest_revision(),)]


if __name__ == "__main__":
    if is_up_to_date(os.environ.get("DATABASE_URL", "")):
        sys.stdout.write("the database is up to date\n")
        sys.exit(0)
    from backend.release import main

    sys.exit(main())
