"""Promises bite: each one of them notices the flaw it is there for."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.contract.hostile.flaws import FLAWS

HOSTILE = Path(__file__).parent / "hostile" / "flaws.py"
ROOT = HOSTILE.parents[3]


def _outcome(case: ET.Element) -> str:
    return next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """What pytest says about each flawed vendor, all of them in one run of its own."""
    report = tmp_path_factory.mktemp("hostile") / "report.xml"
    tests = [f"{HOSTILE}::Test_{promise}::test_{promise}" for _, promise in FLAWS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=240)
    found: dict[str, set[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by the line above
        found.setdefault(case.get("name", "").partition("[")[0], set()).add(_outcome(case))
    return found


@pytest.mark.parametrize("promise", [promise for _, promise in FLAWS])
def test_a_flaw_breaks_its_promise(outcomes: Mapping[str, set[str]], promise: str) -> None:
    """It fails as a broken promise, not as an error on the way there."""
    assert "failure" in outcomes[f"test_{promise}"]
    assert "error" not in outcomes[f"test_{promise}"]
