"""`make test` counts honestly: its last line and its exit code cannot disagree."""

from pathlib import Path

import pytest

from scripts import run_tests
from scripts.run_tests import Tally, judge, tally_from_junit

REPORT = '<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3" /></testsuites>'


def test_errors_are_failures(tmp_path: Path) -> None:
    """pytest tells a test that failed from one whose set-up broke; the count does not."""
    (tmp_path / "junit.xml").write_text(REPORT)

    assert str(tally_from_junit(tmp_path / "junit.xml")) == "3 passed, 3 failed, 3 skipped"


@pytest.mark.parametrize("report", [None, "", "<testsuites><testsuite tests="])
def test_a_broken_report_is_no_pass(tmp_path: Path, report: str | None) -> None:
    """A pytest that was killed leaves nothing, or half a file: no test passed, and that fails."""
    path = tmp_path / "junit.xml"
    if report is not None:
        path.write_text(report)

    assert judge(tally_from_junit(path), pytest_code=-9) == Tally(0, 1, 0)


@pytest.mark.parametrize(
    ("tally", "code", "expected"),
    [
        (Tally(5, 0, 1), 0, Tally(5, 0, 1)),
        (Tally(5, 2, 0), 1, Tally(5, 2, 0)),
        (Tally(5, 0, 0), 3, Tally(5, 1, 0)),
        (Tally(0, 0, 4), 0, Tally(0, 1, 4)),
        (Tally(0, 0, 0), 5, Tally(0, 1, 0)),
    ],
)
def test_what_no_test_counted_fails(tally: Tally, code: int, expected: Tally) -> None:
    """A crash and a run in which nothing ran end in a failure."""
    assert judge(tally, code) == expected


def test_every_test_belongs_to_one_part() -> None:
    """A folder that neither part names would never run."""
    folders = {f"tests/{path.parent.name}" for path in (run_tests.ROOT / "tests").glob("*/test_*.py")}
    folders |= {f"tests/{path.parents[1].name}" for path in (run_tests.ROOT / "tests").glob("*/*/test_*.py")}

    files = {path for path in (*run_tests.WAITING, *run_tests.ALONE) if path.endswith(".py")}
    assert folders == {*run_tests.TOGETHER, *run_tests.ALONE} - files
    assert not set(run_tests.TOGETHER) & set(run_tests.ALONE)
    assert all((run_tests.ROOT / path).is_file() for path in files)


def test_what_runs_alone_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is to be alone and stands in a folder that is not: left out there."""
    runs: list[list[str]] = []
    monkeypatch.setattr(run_tests, "_check", lambda: None)
    monkeypatch.setattr(run_tests, "_browser", lambda: None)

    def ran(arguments: list[str]) -> Tally:
        runs.append(arguments)
        return Tally(passed=1)

    monkeypatch.setattr(run_tests, "_run", ran)
    assert run_tests.main([]) == 0

    together, waiting, alone = runs
    assert [path for path in waiting if path.startswith("tests/")] == list(run_tests.WAITING)
    assert [path for path in alone if path.startswith("tests/")] == list(run_tests.ALONE)
    assert {f"--ignore={path}" for path in run_tests.ALONE} <= set(together)
    assert {f"--ignore={path}" for path in run_tests.WAITING} <= set(alone)


@pytest.mark.parametrize(("problem", "code"), [(None, 0), ("make check", 1)])
def test_the_last_line_counts(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    problem: str | None,
    code: int,
) -> None:
    """Whatever came before, the last line is the count, and a failed check is in it."""
    (tmp_path / "test_one.py").write_text("def test_one() -> None: ...")
    monkeypatch.setattr(run_tests, "_check", lambda: problem)
    monkeypatch.setattr(run_tests, "_browser", lambda: None)

    assert run_tests.main([str(tmp_path), "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]) == code
    assert capfd.readouterr().out.splitlines()[-1] == f"1 passed, {code} failed, 0 skipped"
