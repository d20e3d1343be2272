"""Runs migrations on the connection that `migrate` hands over; it owns the transaction."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import TypeDecorator

from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.migrate import is_declared


def plain_type(kind: str, item: object, _: AutogenContext) -> str | Literal[False]:
    """A drafted migration names what the database stores, not our types, which may change their minds."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=True,
    include_name=is_declared,
    render_item=plain_type,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
