"""Libraries that nobody here wrote, each pointed at a sandbox of its own."""

from collections.abc import Iterator

import pytest

from tests.oracles.sandbox import ServedSandbox, served_sandbox


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries read proxies from the environment, and no proxy leads to this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(scope="session")
def started_sandbox() -> Iterator[ServedSandbox]:
    """One server for all tests that need no host behind it."""
    with served_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started_sandbox: ServedSandbox) -> ServedSandbox:
    """A sandbox as it was on its first day, but for the app's secret."""
    started_sandbox.control("reset")
    return started_sandbox
