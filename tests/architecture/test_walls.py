"""The four walls: what a folder may import is what its pyproject lists."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import DISTRIBUTIONS, ROOT, Distribution, imported_modules

OWN_PACKAGES = {wall.package: name for name, wall in DISTRIBUTIONS.items()}


# ---- the import contracts


def lint_imports(config: Path, *search: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on `config`, packages in `search` before the installed ones."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))}
    return subprocess.run(
        command, cwd=config.parent, env=environment, capture_output=True, text=True, check=False
    )


def test_import_contracts_hold() -> None:
    """Inwards only, no vendor in the host, no framework in the ports, no test kit in production."""
    result = lint_imports(ROOT / "pyproject.toml")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("moorage_ports", "import moorage_adapters", "Dependencies point inwards"),
        ("moorage_adapters", "import moorage", "Dependencies point inwards"),
        ("moorage_adapters", "import moorage_facebook", "Dependencies point inwards"),
        ("moorage_facebook", "import moorage_adapters", "Dependencies point inwards"),
        ("moorage", "import moorage_facebook", "The host meets vendors only through pluggy"),
        ("moorage_ports", "import httpx", "Ports know no framework"),
        ("moorage_ports", "import pytest", "Of the ports, only the conformance kit knows test tools"),
        ("moorage_ports", "import hypothesis", "Of the ports, only the conformance kit knows test tools"),
        ("moorage_adapters", "import moorage_ports.testing", "The conformance kit stays out of production"),
    ],
)
def test_contracts_can_break(tmp_path: Path, module: str, statement: str, contract: str) -> None:
    """A planted import across a wall is found, by the contract that forbids it."""
    for package in (
        "moorage",
        "moorage_adapters",
        "moorage_facebook",
        "moorage_ports",
        "moorage_ports/testing",
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / module / "wrong.py").write_text(statement)
    config = tmp_path / "pyproject.toml"
    config.write_text((ROOT / "pyproject.toml").read_text())

    result = lint_imports(config, tmp_path)

    assert re.search(rf"^{contract}.* BROKEN$", result.stdout, re.MULTILINE), result.stdout + result.stderr


# ---- what is imported is declared


@cache
def distributions_by_import() -> Mapping[str, list[str]]:
    """Which installed distributions bring the top-level name that an import begins with."""
    return {**packages_distributions(), **{package: [name] for package, name in OWN_PACKAGES.items()}}


def declared(folder: Path) -> dict[str | None, set[str]]:
    """The distributions that a pyproject lists: under None for all of it, and per extra."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    groups = {None: project.get("dependencies", []), **project.get("optional-dependencies", {})}
    return {
        extra: {canonicalize_name(Requirement(line).name) for line in lines}
        for extra, lines in groups.items()
    }


def undeclared_imports(wall: Distribution) -> Iterator[str]:
    """`file imports name` for each import whose distribution the wall's pyproject does not list.

    What the ports themselves stand on (attrs, pluggy) is theirs to lend: whoever lists them may use it.
    """
    lists = declared(wall.folder)
    common = lists[None]
    if "moorage-ports" in common:
        common |= declared(DISTRIBUTIONS["moorage-ports"].folder)[None]
    for path in sorted(wall.sources.rglob("*.py")):
        place = path.relative_to(wall.sources)
        extras = [lists[extra] for extra, subfolder in wall.extras.items() if place.parts[0] == subfolder]
        allowed = common.union(*extras)
        for module in imported_modules(path):
            top = module.partition(".")[0]
            if not top or top == wall.package or top in sys.stdlib_module_names:
                continue
            sources = {canonicalize_name(name) for name in distributions_by_import().get(top, [top])}
            if not sources & allowed:
                yield f"{place} imports {top}"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_import_is_declared(name: str) -> None:
    """Nothing works only because another distribution of the workspace happened to bring it."""
    assert sorted(set(undeclared_imports(DISTRIBUTIONS[name]))) == []


def test_undeclared_imports_are_found(tmp_path: Path) -> None:
    """A planted import is named with its file, an extra reaches its own subfolder and no further."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["msgspec"]\noptional-dependencies = { sandbox = ["litestar[jinja]"] }\n'
    )
    (tmp_path / "pack" / "sandbox").mkdir(parents=True)
    (tmp_path / "pack" / "fine.py").write_text(
        "import json, msgspec\nfrom . import sandbox\nimport pack.sandbox"
    )
    (tmp_path / "pack" / "wrong.py").write_text("def late() -> None:\n    from litestar.app import Litestar")
    (tmp_path / "pack" / "sandbox" / "fine.py").write_text("import litestar")

    found = list(undeclared_imports(Distribution(tmp_path, "pack", {"sandbox": "sandbox"})))

    assert found == ["wrong.py imports litestar"]


def test_a_plugin_needs_little() -> None:
    """Ports and a parser are enough to write a vendor; a framework comes only with the sandbox."""
    lists = declared(DISTRIBUTIONS["moorage-facebook"].folder)

    assert lists[None] == {"moorage-ports", "msgspec"}
    assert declared(DISTRIBUTIONS["moorage-ports"].folder)[None] == {"attrs", "pluggy"}


# ---- faces


def re_exports(sources: Path, package: str) -> list[str]:
    """The `__init__.py` files that import from their own package, or anything with a star."""
    found = []
    for path in sources.rglob("__init__.py"):
        own = any(module.startswith((".", package)) for module in imported_modules(path))
        if own or re.search(r"^from .* import \*", path.read_text(), re.MULTILINE):
            found.append(str(path.relative_to(sources)))
    return sorted(found)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_package_is_re_exported(name: str) -> None:
    """A name has one address; importing a package imports nothing else."""
    wall = DISTRIBUTIONS[name]

    assert re_exports(wall.sources, wall.package) == []


def test_re_exports_are_found(tmp_path: Path) -> None:
    """Relative, absolute and starred re-exports are all seen."""
    planted = {
        "a": "from .x import y",
        "b": "from pack.x import y",
        "c": "from json import *",
        "d": "import json",
    }
    for folder, statement in planted.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text(statement)

    assert re_exports(tmp_path, "pack") == ["a/__init__.py", "b/__init__.py", "c/__init__.py"]


@pytest.mark.parametrize(
    "pyproject", sorted(ROOT.glob("plugins/*/pyproject.toml")), ids=lambda path: path.parent.name
)
def test_a_plugin_has_one_face(pyproject: Path) -> None:
    """A vendor is reached through the entry point that names its `plugin` module, and its folder's name."""
    points = tomllib.loads(pyproject.read_text())["project"]["entry-points"]["moorage.vendors"]

    assert points == {pyproject.parent.name: f"moorage_{pyproject.parent.name}.plugin"}
