"""For applications with SQLAlchemy 2 and psycopg 3: a replicated PostgreSQL whose failovers they need not notice.

Reads on standbys and writes on the primary; users who see what they have written; writes whose outcome is told truly:
done, not done, or unknown. Stands alone: it imports nothing else of Colonnade, and nothing of Colonnade imports it.
What does not belong: what an application makes of an error, and anything about its own tables but idempotency keys.

Start with `Database` (`database.py`; `aio.py` for event loops); docs/client.md introduces it.
"""

try:
    import itsdangerous  # noqa: F401 — looked for here, so that all that is missing is told in one place
    import prometheus_client  # noqa: F401
    import psycopg  # noqa: F401
    import sqlalchemy  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"colonnade.client needs SQLAlchemy 2, psycopg 3, itsdangerous and prometheus-client "
        f"({error.name} is missing); hint: pip install 'colonnade[client]'"
    ) from error

from colonnade.client.backoff import Backoff
from colonnade.client.database import Database
from colonnade.client.errors import CommitUnknown, SettingsError, Unavailable
from colonnade.client.idempotency import Answer, IdempotencyKeys, KeyReused, idempotency_table
from colonnade.client.outcome import idempotent
from colonnade.client.policy import Policy, Read, Written
from colonnade.client.settings import Settings
from colonnade.client.signing import TokenSigner
from colonnade.client.token import Token
from colonnade.client.visit import Visit

__all__ = [
    "Answer",
    "Backoff",
    "CommitUnknown",
    "Database",
    "IdempotencyKeys",
    "KeyReused",
    "Policy",
    "Read",
    "Settings",
    "SettingsError",
    "Token",
    "TokenSigner",
    "Unavailable",
    "Visit",
    "Written",
    "idempotency_table",
    "idempotent",
]
