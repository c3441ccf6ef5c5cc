"""Run by Alembic. The connection comes from ``app.db.engine``, or from the command line's URL."""

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine

from app.db.tables import Table


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = context.config.get_main_option("sqlalchemy.url") or ""
    with create_engine(url, poolclass=NullPool).begin() as opened:
        run(opened)
