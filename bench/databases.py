"""The databases that a measurement runs on, each with a folder of its own, one after the other."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.support.demo import free_port
from tests.support.postgres import running_cluster

KINDS = ("sqlite", "postgres")


def databases(names: Sequence[str] | None) -> Iterator[tuple[str, str, Path]]:
    """Name, URL and folder of each that is asked for, of all if none is; gone when the next one comes."""
    for name in names or KINDS:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moorage-bench-")))
            if name == "sqlite":
                yield name, f"sqlite:///{folder / 'moorage.sqlite3'}", folder
            else:
                yield name, f"{stack.enter_context(running_cluster(free_port())).url}/postgres", folder
