"""Writes pages of `docs` from the code: `python -m scripts.reference`. A test sees to it that it was run."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import moorage_ports
from moorage.errors import STATUS
from moorage_ports.errors import MoorageError
from moorage_ports.plugin import ENTRY_POINT_GROUP, PROJECT, VendorHooks
from moorage_ports.testing.contract import Contract
from scripts.kinds import kinds_page

PAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "reference"
WRITTEN: Final = "<!-- Written by `python -m scripts.reference` from the docstrings in the code. -->"

GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "What a vendor brings": (
        "Authorizer",
        "TokenVault",
        "Directory",
        "Subscriptions",
        "Publisher",
        "LeadSource",
        "ActivitySync",
        "DirectMessages",
        "Profiles",
        "WebhookSource",
        "Withdrawals",
        "VendorSettings",
    ),
    "What a vendor is lent": ("HttpClient", "Governor", "Clock", "SecretStore"),
    "What the host keeps": (
        "Storage",
        "UnitOfWork",
        "Intake",
        "Inbox",
        "Backlog",
        "Integrations",
        "ConnectAttempts",
        "OwnApps",
        "CallCounts",
        "Leads",
        "LeadLedger",
        "LeadMappings",
        "LeadCheckpoints",
        "LeadForms",
        "FormChecks",
        "Backfills",
        "Remaps",
        "LeadTests",
        "CrmRecords",
        "Conversations",
        "Contacts",
        "SyncStates",
        "Strangers",
        "Outgoing",
        "Handovers",
        "Door",
        "Publications",
        "RememberedCalls",
        "RetentionRules",
        "Erasures",
        "KeptCopies",
        "AsideCopies",
        "DeletionRequests",
        "Offboarding",
        "Accounts",
        "Nudges",
        "Jobs",
        "Governors",
    ),
}

PORTS_ARE: Final = (
    "What the host may ask of a vendor, what it lends it, and what it keeps for itself. "
    "All of them are Protocols: an adapter need not inherit anything, only fit."
)
HOOKS_ARE: Final = (
    f"A plugin is a distribution with an entry point in the group `{ENTRY_POINT_GROUP}` that names a module. "
    "The module implements hooks, marked with `moorage_ports.plugin.hookimpl` "
    f"(a [pluggy](https://pluggy.readthedocs.io) marker of the project `{PROJECT}`). "
    "A hook that is misspelt stops the start; a plugin that does not import is reported and left out."
)
ERRORS_ARE: Final = (
    "Problem documents (RFC 9457) carry one of these codes. Codes are stable; texts may change. "
    "Several errors share a code where a caller's next move is the same."
)


# Finding -------------------------------------------------------------------------------------


def _modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(moorage_ports.__path__, f"{moorage_ports.__name__}."):
        yield importlib.import_module(found.name)


def _classes(module: ModuleType) -> Iterator[type]:
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield value


def ports() -> dict[str, type]:
    """Every Protocol that the ports declare, by name; the conformance kit's own are not ports."""
    return {
        cls.__name__: cls
        for module in _modules()
        if ".testing" not in module.__name__
        for cls in _classes(module)
        if getattr(cls, "_is_protocol", False)
    }


def contracts() -> dict[str, type[Contract]]:
    """The promises of each port, by the port's name."""
    found = (cls for module in _modules() for cls in _classes(module))
    return {
        cls.__name__.removesuffix("Contract"): cls
        for cls in found
        if issubclass(cls, Contract) and cls.__name__.endswith("Contract") and cls is not Contract
    }


def errors() -> list[type[MoorageError]]:
    """Every error that has a status, most general last within a status."""
    return sorted(STATUS, key=lambda cls: (STATUS[cls], cls.code, cls.__name__))


# Saying --------------------------------------------------------------------------------------


def _text(documented: object) -> str:
    return (inspect.getdoc(documented) or "").strip()


def _said_and_raised(documented: object) -> tuple[str, list[tuple[str, str]]]:
    said, _, raised = _text(documented).partition("\nRaises:\n")
    lines = re.sub(r"\n {8,}", " ", raised).splitlines()
    pairs = [line.strip().partition(": ") for line in lines if ": " in line]
    return said.strip(), [(name, meaning) for name, _, meaning in pairs]


def _bare(annotation: str) -> str:
    return re.sub(r"\b(?:[a-z_]+\.)+(?=\w)", "", annotation)


def _signature(name: str, method: Callable[..., object]) -> str:
    signature = inspect.signature(method)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    prefix = "async " if inspect.iscoroutinefunction(method) else ""
    return prefix + name + _bare(str(signature.replace(parameters=parameters))).replace("'", "")


def _methods(port: type) -> Iterator[str]:
    for name, member in vars(port).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property) and member.fget is not None:
            returned = _bare(str(inspect.signature(member.fget).return_annotation))
            returned = re.sub(r"<class '(\w+)'>", r"\1", returned)
            yield "\n".join(
                [f"#### `{name}: {returned}`", *([f"\n{_text(member)}"] if _text(member) else [])]
            )
        elif inspect.isfunction(member):
            said, raised = _said_and_raised(member)
            parts = [f"#### `{_signature(name, member)}`", said]
            if raised:
                parts.append(
                    "Raises:\n\n" + "\n".join(f"- `{error}`: {meaning}" for error, meaning in raised)
                )
            yield "\n\n".join(part for part in parts if part)


def _promises(contract: type[Contract]) -> str:
    tests = [
        (name, value)
        for base in reversed(contract.__mro__)
        for name, value in vars(base).items()
        if name.startswith("test_")
    ]
    lines = [f"- **{name.removeprefix('test_').replace('_', ' ')}**: {_text(test)}" for name, test in tests]
    said = f"Promises, in `{contract.__module__}.{contract.__name__}`:"
    return said + "\n\n" + "\n".join(" ".join(line.split()) for line in lines)


def ports_page() -> str:
    """`ports.md`: each port with its methods, what they raise, and what is promised about it."""
    known, promised = ports(), contracts()
    parts = [
        WRITTEN,
        "# Ports",
        PORTS_ARE,
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}")
        for name in names:
            port = known[name]
            parts += [f"### `{name}`", f"`{port.__module__}`", _text(port), *_methods(port)]
            if name in promised:
                parts.append(_promises(promised[name]))
    parts += ["## What the calling card promises", _promises(promised["Vendor"])]
    return "\n\n".join(parts) + "\n"


def hooks_page() -> str:
    """`hooks.md`: what a plugin implements, and how it is found."""
    parts = [
        WRITTEN,
        "# Hooks",
        HOOKS_ARE,
    ]
    for name, hook in vars(VendorHooks).items():
        if inspect.isfunction(hook) and not name.startswith("_"):
            parts += [f"## `{name}`", f"`{_signature(name, hook)}`", _text(hook)]
    example = [
        "```python",
        "from moorage_adapters.memory.plugin import memory_plugin",
        "from moorage_adapters.memory.world import MemoryWorld",
        "",
        "vendor = memory_plugin(MemoryWorld()).moorage_vendor()",
        'assert vendor.slug == "memory"',
        "```",
    ]
    parts += ["The shortest whole example is the memory vendor:", "\n".join(example)]
    parts.append("How to write one, step by step: [your first vendor](../tutorial/your-first-vendor.md).")
    return "\n\n".join(parts) + "\n"


def errors_page() -> str:
    """`errors.md`: each code with its status, its meaning and the way out."""
    rows = [
        "| "
        + " | ".join(
            (f"`{e.code}`", str(STATUS[e]), f"`{e.__name__}`", _line(_text(e)), _line(e.default_remedy))
        )
        + " |"
        for e in errors()
    ]
    parts = [
        WRITTEN,
        "# Errors",
        ERRORS_ARE,
        "\n".join(["| code | status | error | means | way out |", "|---|---|---|---|---|", *rows]),
    ]
    return "\n\n".join(parts) + "\n"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGE_OF: Final[Mapping[str, Callable[[], str]]] = {
    "ports.md": ports_page,
    "hooks.md": hooks_page,
    "errors.md": errors_page,
    "../vendors/facebook-webhooks.md": kinds_page,
}


def main() -> None:
    """Write every page."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, page in PAGE_OF.items():
        (PAGES / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
