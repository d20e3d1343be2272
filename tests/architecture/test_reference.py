"""The reference says what the code says: every port, hook and error code, none forgotten."""

import inspect

import pytest

from moorage_ports.errors import MoorageError
from moorage_ports.plugin import VendorHooks
from scripts.reference import GROUPS, PAGE_OF, PAGES, contracts, ports
from tests.architecture.sources import ROOT


def _page(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def _errors(cls: type[MoorageError] = MoorageError) -> set[type[MoorageError]]:
    return {cls}.union(*(_errors(sub) for sub in cls.__subclasses__()))


@pytest.mark.parametrize("name", PAGE_OF)
def test_the_page_is_up_to_date(name: str) -> None:
    """After a change to a port, a hook or an error: `python -m scripts.reference`."""
    assert _page(name) == PAGE_OF[name](), "run `python -m scripts.reference`"


def test_every_port_is_documented() -> None:
    """With a place in one of the groups, and with each of its methods."""
    assert {name for names in GROUPS.values() for name in names} == set(ports())
    page = _page("ports.md")
    for name, port in ports().items():
        section = page.partition(f"\n### `{name}`\n")[2].partition("\n### ")[0]
        for method in vars(port):
            if not method.startswith("_"):
                assert f" {method}(" in section or f"`{method}(" in section or f"`{method}:" in section, name


def test_every_vendor_port_has_promises() -> None:
    """A port without promises would be a wish."""
    brought = set(GROUPS["What a vendor brings"]) - {"VendorSettings"}

    assert brought <= set(contracts())


def test_every_hook_is_documented() -> None:
    """Under a heading of its own."""
    hooks = [name for name, hook in vars(VendorHooks).items() if inspect.isfunction(hook)]

    assert hooks
    for hook in hooks:
        assert f"## `{hook}`" in _page("hooks.md")


def test_every_error_code_is_documented() -> None:
    """With the error's own docstring."""
    page = _page("errors.md")
    ours = {error for error in _errors() if error.__module__.startswith("moorage")}

    assert {error.code for error in ours if f"| `{error.code}` |" not in page} == set()


def test_the_glossary_knows_the_ports_words() -> None:
    """A word that a port is named after stands in the glossary."""
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()

    for word in (
        "vendor",
        "integration",
        "grant",
        "channel",
        "lead",
        "delivery",
        "change",
        "nudge",
        "capability",
    ):
        assert f"**{word}**" in glossary
