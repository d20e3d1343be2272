"""Retention comes with an upgrade: nobody loses leads that they collected when these stayed for ever."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.privacy_tables import RETENTION
from tests.unit.privacy.test_leaving import a_row

LEAD = metadata.tables["lead"]


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if database_kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'm.sqlite3'}"


async def test_whoever_had_leads_before_keeps_them_until_they_say_otherwise(url: str) -> None:
    await migrate.upgrade(url)

    def upgraded(connection: sa.Connection) -> list[tuple[str, int | None, str]]:
        connection.execute(LEAD.insert().values(dict(a_row(LEAD, "had-leads"))))
        command.downgrade(migrate._config(connection), "0013")
        migrate.upgrade_on(connection)
        columns = (RETENTION.c.org_id, RETENTION.c.lead_days, RETENTION.c.changed_by)
        return [(row[0], row[1], row[2]) for row in connection.execute(sa.select(*columns))]

    assert await migrate._on(url, upgraded) == [("had-leads", None, "upgrade")]
