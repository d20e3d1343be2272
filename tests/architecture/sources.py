"""What the architecture tests look at: the repository's folders, files and imports."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Distribution(NamedTuple):
    """One of the walls: a folder with a pyproject, its package, and which subfolder an extra serves."""

    folder: Path
    package: str
    extras: dict[str, str]

    @property
    def sources(self) -> Path:
        """The folder of the package."""
        return self.folder / self.package


DISTRIBUTIONS = {
    "moorage-ports": Distribution(ROOT / "ports", "moorage_ports", {"testing": "testing"}),
    "moorage-adapters": Distribution(ROOT / "adapters", "moorage_adapters", {}),
    "moorage": Distribution(ROOT / "host", "moorage", {}),
    "moorage-facebook": Distribution(
        ROOT / "plugins" / "facebook", "moorage_facebook", {"sandbox": "sandbox"}
    ),
}


def tracked_files() -> list[Path]:
    """Every file that a clone would hold, and the new ones that the next commit may add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    """The file as text; what is not text (an icon, a font) reads as nothing."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def imported_modules(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, wherever in it; relative ones begin with a dot."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
