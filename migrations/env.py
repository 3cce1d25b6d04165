"""Alembic's entry: runs the migrations over the connection that `service.store.migrate` opened."""

from alembic import context

from service.store.tables import Table

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrations run through the service: `tfclip serve` at start, or `service.store.migrate.upgrade`")

# Only the schema `public` is ours; the queue's schema is procrastinate's own business.
context.configure(connection=connection, target_metadata=Table.metadata, compare_type=True, compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
