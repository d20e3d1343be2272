"""The page about the HTTP API names every route that is served, and no operation that is not bound."""

import re
from pathlib import Path

import pytest

from moorage_facebook.plugin import moorage_vendor
from tests.routes.test_app import served
from tests.support.harbour import harbour

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "http-api.md").read_text()


@pytest.fixture
def documented() -> set[str]:
    """Every path in the page's tables."""
    return {_shape(path) for path in re.findall(r"`(?:GET|POST|PATCH|DELETE) (/[^`\[?\s]*)", PAGE)}


def _shape(path: str) -> str:
    """The path, whatever its parameters are called."""
    return re.sub(r"\{\w+\}", "{}", path)


async def test_every_served_route_is_on_the_page(tmp_path: Path, documented: set[str]) -> None:
    async with harbour(tmp_path) as host:
        paths = {_shape(path) for _, path, _ in served(host.app)}
    below = ("/admin", "/schema", "/connect/webhook")
    missing = {path for path in paths - documented - {"/"} if not path.startswith(below)}
    assert missing == set()


def test_every_operation_is_on_the_page() -> None:
    bound = {binding.name for binding in moorage_vendor().operations}
    section = PAGE.partition("## Facebook's operations")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == bound
