"""Nothing in the repository says where it was made, where packages come from, or opens a door.

The patterns are written so that this file does not match itself.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, text_of, tracked_files

LOCK_FILES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
}

LEAKS = {
    "a package registry": re.compile(
        r"[p]ypi\.org|[p]ythonhosted\.org|[r]egistry\.npmjs|[r]egistry\s*=\s*\"https?:|[i]ndex-url|"
        r"\"[r]esolved\":\s*\"https?:|[p]roxy\.golang\.org|deb\.[d]ebian\.org"
    ),
    "a path of somebody's machine": re.compile(
        r"(?<![\w.])/(?:[w]ork/(?:main|shared|\.\w+)|[f]arm/|[r]oot/|[U]sers/\w+/|[h]ome/(?!\w+\.md)\w+/|opt/(?:[p]ypi|[w]heels))"
    ),
    "an access token": re.compile(
        r"\b(?:[E]AA[A-Za-z0-9]{24,}|[I]GQ[A-Za-z0-9_-]{24,}|[I]GAA[A-Za-z0-9]{24,}|\d{10,}\|[A-Za-z0-9_-]{24,})"
    ),
    "a key or credential": re.compile(
        r"-----[B]EGIN (?:[A-Z]+ )?PRIVATE KEY|\b[A]KIA[0-9A-Z]{16}\b|"
        r"\b[g]h[pousr]_[A-Za-z0-9]{30,}|\b[s]k_live_\w{16,}"
    ),
}


def leaks(path: Path, root: Path) -> Iterator[str]:
    """`file:line: what it gives away`, never the text itself: it may be a secret."""
    place = path.relative_to(root)
    if path.name in LOCK_FILES or re.fullmatch(r"pylock.*\.toml", path.name):
        yield f"{place}: a lock file with addresses"
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        yield from (f"{place}:{number}: {what}" for what, pattern in LEAKS.items() if pattern.search(line))


def test_nothing_leaks() -> None:
    """Every file that a clone would hold is clean."""
    assert [found for path in tracked_files() for found in leaks(path, ROOT)] == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("source = https://py" + "pi.org/simple", "a package registry"),
        ("--extra-in" + "dex-url file:///x", "a package registry"),
        ("cache = '/wo" + "rk/main/.cache'", "a path of somebody's machine"),
        ("python = /ro" + "ot/.local/bin/python", "a path of somebody's machine"),
        ("token = 'EA" + "AGm0PX4ZCps" + "BAKZ" * 8 + "'", "an access token"),
        ("app = '1234567890123|" + "aB3" * 9 + "'", "an access token"),
        ("-----BE" + "GIN RSA PRIVATE KEY-----", "a key or credential"),
    ],
)
def test_leaks_are_found(tmp_path: Path, line: str, what: str) -> None:
    """A planted line is named by what it gives away, without being repeated."""
    (tmp_path / "notes.txt").write_text(f"fine\n{line}\n")

    assert list(leaks(tmp_path / "notes.txt", tmp_path)) == [f"notes.txt:2: {what}"]


def test_lock_files_are_found(tmp_path: Path) -> None:
    """A lock file is refused for its name alone: its addresses are somebody's registry."""
    (tmp_path / "uv.lock").write_text("")

    assert list(leaks(tmp_path / "uv.lock", tmp_path)) == ["uv.lock: a lock file with addresses"]
