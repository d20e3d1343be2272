"""The vendor of the tutorial keeps the promises that the page says it keeps."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "your-first-vendor.md"


def _run_page() -> dict[str, object]:
    """The page's code, block by block in one module, each at its own line of the page."""
    text = PAGE.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": __name__}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines_before = text[: block.start(1)].count("\n")
        exec(compile("\n" * lines_before + block[1], str(PAGE), "exec"), namespace)  # noqa: S102 - our own page
    return namespace


globals().update({name: value for name, value in _run_page().items() if name.startswith("Test")})


def test_the_page_has_promises() -> None:
    """What is collected here comes from the page."""
    assert {"TestFirstCard", "TestLanternCard", "TestLanternPublisher"} <= globals().keys()
