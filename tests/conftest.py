"""The PostgreSQL of a run, and what is said when there is none."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tests.support.databases import Databases, fresh_database
from tests.support.demo import free_port
from tests.support.postgres import NoPostgresError, running_cluster

_MISSING = pytest.StashKey[str]()


def pytest_configure() -> None:
    """Log failures as a host does, without locals: drawing the worlds that hang on those takes minutes."""
    renderer = structlog.get_config()["processors"][-1]
    assert isinstance(renderer, structlog.dev.ConsoleRenderer)
    renderer.exception_formatter = structlog.dev.plain_traceback


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that runs within a test sets up the process's logging, on a stream that is closed then."""
    yield
    root = logging.getLogger()
    ours = [one for one in root.handlers if isinstance(one.formatter, structlog.stdlib.ProcessorFormatter)]
    if ours:
        root.handlers = [one for one in root.handlers if one not in ours]
        root.setLevel(logging.WARNING)
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """The server of this run, started by the first test that needs one.

    Raises:
        NoPostgresError: There is none, and this is CI; elsewhere such tests are skipped, loudly.
    """
    try:
        with running_cluster(free_port()) as cluster:
            made = Databases(cluster)
            yield made
            asyncio.run(made.aclose())
    except NoPostgresError as missing:
        if os.environ.get("CI") == "true":
            raise
        request.config.stash[_MISSING] = str(missing)
        pytest.skip(str(missing))


@pytest.fixture
async def postgres_url(databases: Databases) -> AsyncIterator[str]:
    """A fresh, migrated database; its login is a superuser, who works as the app's role."""
    async with fresh_database(databases) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both databases; a module that is about one of them overrides this."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database for a host; "" is a SQLite file of its own."""
    return str(request.getfixturevalue("postgres_url")) if database_kind == "postgres" else ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the very end that half of the storage was not tested."""
    if _MISSING in config.stash:
        terminalreporter.section("NO POSTGRESQL", red=True, bold=True)
        terminalreporter.write_line(f"Nothing was tested on PostgreSQL: {config.stash[_MISSING]}", red=True)
