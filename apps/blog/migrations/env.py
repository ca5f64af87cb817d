"""How Alembic reaches the database: on the connection that `backend.release` hands it, else on one of its own."""

from alembic import context
from colonnade.client import Database
from sqlalchemy import Connection

from backend.models import Base


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with Database.from_environ().primary.connect() as own:
        migrate(own)
        own.commit()
