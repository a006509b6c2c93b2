"""Run by Alembic inside `open_database`, on the connection that it hands over."""

from alembic import context

from assistant.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
