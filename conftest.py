"""For pytest everywhere: promises explain their failed asserts, and the code in the docs is run."""

from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest.register_assert_rewrite("moorage_ports.testing")

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    path=str(Path(__file__).parent),
    patterns=["README.md", "CONTRIBUTING.md", "docs/**/*.md"],
).pytest()
