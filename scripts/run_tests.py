"""`make test`: the checks, then every test, then one line that counts them.

Without arguments in three parts: what can bear company runs on all cores, then what mostly waits for a lease
to run out, all at once; then what measures time or kills processes runs alone, also where it is one file
among others. With arguments, pytest gets just those.

The last line is always `N passed, N failed, N skipped`. A failed `make check`, a missing browser
(in CI) and a pytest that died each count as one failure, so that line and exit code never disagree.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from scripts.browser import VARIABLES, BrowserMissingError, ensure_chromium

ROOT = Path(__file__).resolve().parents[1]
# The longest first: a browser's journeys are one file each, and nobody should wait for the last of them.
TOGETHER = (
    "tests/e2e",
    "tests/contract",
    "tests/routes",
    "tests/oracles",
    "tests/architecture",
    "tests/unit",
)
WAITING = ("tests/chaos/test_publishing_killed.py",)
AT_ONCE = 3  # of those that wait
ALONE = (
    "tests/chaos",
    "tests/e2e/test_many_processes.py",
    "tests/routes/test_storm.py",
    "tests/routes/test_workers.py",
)


class Tally(NamedTuple):
    """How many tests ended in which way; errors are failures."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"

    def plus(self, other: "Tally") -> "Tally":
        """Both runs as one."""
        return Tally(*map(sum, zip(self, other, strict=True)))

    def plus_failures(self, count: int) -> "Tally":
        """The same run with `count` more failures."""
        return self._replace(failed=self.failed + count)


def tally_from_junit(report: Path) -> Tally:
    """Count what pytest wrote; a report that is missing or broken off is no test at all."""
    try:
        suites = list(ET.parse(report).getroot().iter("testsuite"))  # noqa: S314 (pytest wrote it a second ago)
    except (OSError, ET.ParseError):
        return Tally()
    total, failures, errors, skipped = (
        sum(int(suite.get(name, 0)) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    return Tally(total - failures - errors - skipped, failures + errors, skipped)


def judge(tally: Tally, pytest_code: int) -> Tally:
    """Add what no test counted: a pytest that broke, a run in which nothing ran."""
    if not tally.failed and (pytest_code or not tally.passed):
        print(f"pytest ended with code {pytest_code} after {tally}: that is a failure", flush=True)
        return tally.plus_failures(1)
    return tally


def main(pytest_args: list[str]) -> int:
    """Check, test, count."""
    problems = [problem for problem in (_check(), _browser()) if problem]
    tally = Tally()
    for arguments in [pytest_args] if pytest_args else _parts():
        tally = tally.plus(_run(arguments))
    tally = tally.plus_failures(len(problems))
    for problem in problems:
        print(f"FAILED, counted as one failure: {problem}")
    print(tally, flush=True)
    return 1 if tally.failed else 0


def _parts() -> list[list[str]]:
    """The arguments of each part. A file's tests stay together: they share what is dear to set up."""
    cores = str(min(os.cpu_count() or 1, 8))
    apart, waiting = ([f"--ignore={path}" for path in paths] for paths in (ALONE, WAITING))
    return [
        ["-n", cores, "--dist", "loadfile", *TOGETHER, *apart],
        ["-n", str(AT_ONCE), "--dist", "load", *WAITING],
        [*ALONE, *waiting],
    ]


def _run(arguments: list[str]) -> Tally:
    """One pytest, and what became of its tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        return judge(tally_from_junit(report), code)


def _check() -> str | None:
    """Run all of `make check`, also past its first failure."""
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", "--keep-going", "check"]
    return "make check" if subprocess.run(command, cwd=ROOT, check=False).returncode else None


def _browser() -> str | None:
    """Hand the tests a Chromium; without one CI fails, a person is told."""
    try:
        os.environ[VARIABLES[0]] = ensure_chromium()
    except BrowserMissingError as missing:
        print(f"\n*** NO BROWSER: {missing}.\n*** The end-to-end tests cannot run.\n", flush=True)
        return str(missing) if os.environ.get("CI") == "true" else None
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
