"""Pages lead where they say."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import ROOT, text_of, tracked_files

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)]*)?\)")


def dead_links(page: Path, root: Path) -> Iterator[str]:
    """`page -> target` for each relative link of a Markdown page that leads to no file."""
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for target in LINK.findall(text):
        if not (page.parent / target).exists():
            yield f"{page.relative_to(root)} -> {target}"


def test_no_link_is_dead() -> None:
    """Every relative link of every page leads to a file of this repository."""
    pages = [path for path in tracked_files() if path.suffix == ".md"]

    assert [link for page in pages for link in dead_links(page, ROOT)] == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    """Addresses of the web, anchors and code are left alone; a missing file is named."""
    page = tmp_path / "page.md"
    page.write_text(
        "[a](page.md#x) [b](https://example.org/y) [c](#z) [d](gone.md)\n```\n[e](code.md)\n```\n"
    )

    assert list(dead_links(page, tmp_path)) == ["page.md -> gone.md"]
