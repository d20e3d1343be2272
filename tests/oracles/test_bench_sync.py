"""The comparison with the official SDK runs, and both sides find everything."""

import pytest

from bench import sync


def test_both_sides_read_the_same_wall(capsys: pytest.CaptureFixture[str]) -> None:
    """A small wall; how fast they are is for `make bench` to say, on a machine that does nothing else."""
    sync.compare(["--posts", "20", "--comments", "12", "--reactions", "8", "--sdk-posts", "5", "--no-host"])

    lines = capsys.readouterr().out
    assert "ours             400 items" in lines
    assert "SDK loop         100 items" in lines
    assert "ratio" in lines
