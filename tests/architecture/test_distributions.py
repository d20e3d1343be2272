"""What leaves the house: pins that fit the pyprojects, wheels that hold every file."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.sources import DISTRIBUTIONS, ROOT, tracked_files

PIN = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^ ;]+)(?: ; [^\\]+)? \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.MULTILINE,
)


def pins(text: str) -> dict[str, str]:
    """Name to version, of the entries that are exact and carry hashes."""
    return {canonicalize_name(found["name"]): found["version"] for found in PIN.finditer(text)}


def unpinned_lines(text: str) -> list[str]:
    """The lines of a requirements file that belong to no exact, hashed pin: options, URLs, loose ones."""
    rest = PIN.sub("", text).splitlines()
    return [line for line in rest if line and not line.startswith("#")]


def pinned(name: str) -> str:
    """The text of one of the pinned sets."""
    return (ROOT / "requirements" / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_pins_are_exact_and_hashed(name: str) -> None:
    """No entry floats, none can be swapped on the way, none says where to fetch it."""
    assert pins(pinned(name))
    assert unpinned_lines(pinned(name)) == []


def test_loose_pins_are_found() -> None:
    """A range, a missing hash, an address: each is left over."""
    digest = "a" * 64
    good = (
        f"one==1.0 ; sys_platform != 'win32' \\\n    --hash=sha256:{digest} \\\n    --hash=sha256:{digest}\n"
    )

    assert unpinned_lines(good) == []
    for planted in ("two==1.0\n", f"two>=1.0 \\\n    --hash=sha256:{digest}\n", "--find-links here\n"):
        assert unpinned_lines(good + planted)


def test_one_version_everywhere() -> None:
    """What development adds never changes what Moorage runs on."""
    runtime, dev = pins(pinned("runtime")), pins(pinned("dev"))

    assert {name: dev[name] for name in runtime.keys() & dev.keys()} == {
        name: runtime[name] for name in runtime.keys() & dev.keys()
    }


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_dependency_is_pinned(name: str) -> None:
    """A changed pyproject needs `make pins`: each thing it lists has a pin within its range."""
    project = tomllib.loads((DISTRIBUTIONS[name].folder / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    versions = {**pins(pinned("dev")), **pins(pinned("runtime"))}
    wanted = [Requirement(line) for line in project["dependencies"] + extras]
    foreign = [requirement for requirement in wanted if requirement.name not in DISTRIBUTIONS]

    assert [
        str(requirement)
        for requirement in foreign
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0"))
    ] == []


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wheel_holds_every_file(name: str, tmp_path: Path) -> None:
    """Templates, styles, migrations and py.typed travel with the code that reads them."""
    wall = DISTRIBUTIONS[name]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=wall.folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        str(path.relative_to(wall.folder)) for path in tracked_files() if path.is_relative_to(wall.sources)
    }

    assert f"{wall.package}/py.typed" in packed
    assert ours - packed == set()
