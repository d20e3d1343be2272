"""The walls that know no vendor do not say one's name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, text_of, tracked_files

VENDOR_WORD = re.compile("facebook|instagram|whatsapp|messenger", re.IGNORECASE)
NEUTRAL = [ROOT / "ports", ROOT / "adapters", ROOT / "host"]


def vendor_words(path: Path, root: Path) -> Iterator[str]:
    """`file:line: text` where a vendor is named, in the file or by the file's own name."""
    place = path.relative_to(root)
    if VENDOR_WORD.search(str(place)):
        yield f"{place}: its name"
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        if VENDOR_WORD.search(line):
            yield f"{place}:{number}: {line.strip()}"


@pytest.mark.parametrize("folder", NEUTRAL, ids=lambda folder: folder.name)
def test_no_vendor_is_named(folder: Path) -> None:
    """Code, templates, styles and pyprojects of ports, adapters and host would fit any vendor."""
    files = [path for path in tracked_files() if path.is_relative_to(folder)]

    assert files
    assert [found for path in files for found in vendor_words(path, ROOT)] == []


def test_vendor_words_are_found(tmp_path: Path) -> None:
    """In any case, in a template as in code, and in a file's name."""
    planted = tmp_path / "WhatsApp.html"
    planted.write_text("<p>fine</p>\n<a href='/faceBook-provider'>x</a>\n")

    assert list(vendor_words(planted, tmp_path)) == [
        "WhatsApp.html: its name",
        "WhatsApp.html:2: <a href='/faceBook-provider'>x</a>",
    ]
