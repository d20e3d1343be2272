"""Names that say what a thing is to its user, not what kind of thing it is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import DISTRIBUTIONS

# `IPublisher`, `PublisherPort`, `AbstractPublisher`: a port is a role, bare.
DRESSED = re.compile(r"^(?:I[A-Z][a-z]\w*|Abstract\w+|\w+(?:Port|Interface|Impl|Helper|Utils))$")


def dressed_classes(sources: Path) -> Iterator[str]:
    """`file: Class` for classes whose name wears its kind."""
    for path in sorted(sources.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and DRESSED.match(node.name):
                yield f"{path.relative_to(sources)}: {node.name}"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_classes_are_named_for_their_role(name: str) -> None:
    """No prefix for interfaces, no suffix for ports, no helper without a job."""
    assert list(dressed_classes(DISTRIBUTIONS[name].sources)) == []


def test_dressed_names_are_found(tmp_path: Path) -> None:
    """Each kind of dress is seen; `Import` and `Inbox` are ordinary words."""
    (tmp_path / "a.py").write_text(
        "".join(f"class {c}: ...\n" for c in ("IPub", "PubPort", "AbstractPub", "Inbox"))
    )

    assert list(dressed_classes(tmp_path)) == ["a.py: IPub", "a.py: PubPort", "a.py: AbstractPub"]
