"""For applications with SQLAlchemy 2 and psycopg 3: a replicated PostgreSQL whose failovers they need not notice.

Reads on standbys and writes on the primary; users who see what they have written; writes whose outcome is told truly:
done, not done, or unknown; the trace of a request, passed on. Stands alone: it imports nothing else of Colonnade, and
nothing of Colonnade imports it. What does not belong: what an application makes of an error, and anything about its own
tables but idempotency keys.

Start with `Database` (`database.py`; `aio.py` for event loops); docs/client.md introduces it. A service without a
database, which uses `tracing.py` alone, does not wait for SQLAlchemy: what is named here is imported when it is used.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

# Looked for here, so that all that is missing is told in one place.
if missing := [
    name for name in ("sqlalchemy", "psycopg", "itsdangerous", "prometheus_client") if find_spec(name) is None
]:
    raise ImportError(
        "colonnade.client needs SQLAlchemy 2, psycopg 3, itsdangerous and prometheus-client "
        f"({', '.join(missing)} missing); hint: pip install 'colonnade[client]'"
    )

if TYPE_CHECKING:
    from colonnade.client.backoff import Backoff
    from colonnade.client.database import Database
    from colonnade.client.errors import CommitUnknown, SettingsError, Unavailable
    from colonnade.client.idempotency import Answer, IdempotencyKeys, KeyReused, idempotency_table
    from colonnade.client.outcome import idempotent
    from colonnade.client.policy import Policy, Read, Written
    from colonnade.client.settings import Settings
    from colonnade.client.signing import TokenSigner
    from colonnade.client.token import Token
    from colonnade.client.trace_middleware import TraceMiddleware, WsgiTraceMiddleware
    from colonnade.client.tracing import trace_headers
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
    "TraceMiddleware",
    "Unavailable",
    "Visit",
    "Written",
    "WsgiTraceMiddleware",
    "idempotency_table",
    "idempotent",
    "trace_headers",
]

_HOMES = {
    "backoff": ("Backoff",),
    "database": ("Database",),
    "errors": ("CommitUnknown", "SettingsError", "Unavailable"),
    "idempotency": ("Answer", "IdempotencyKeys", "KeyReused", "idempotency_table"),
    "outcome": ("idempotent",),
    "policy": ("Policy", "Read", "Written"),
    "settings": ("Settings",),
    "signing": ("TokenSigner",),
    "token": ("Token",),
    "trace_middleware": ("TraceMiddleware", "WsgiTraceMiddleware"),
    "tracing": ("trace_headers",),
    "visit": ("Visit",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
