"""Alembic's entry: runs on the connection that the ledger hands over."""

from alembic import context

from service.ledgers.databases import VERSION_TABLE
from service.ledgers.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
