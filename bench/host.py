"""Servers to measure, each in a process of its own: the bare app, and the real host."""

import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from tests.support.hosting import HostPlan

ORG, PAGE_ID = "bench", "1234567890"


@attrs.frozen(kw_only=True)
class Measured:
    """A server under measurement."""

    port: int
    secret: str
    process: "subprocess.Popen[bytes]"


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True  # the bare app has no such route, but it answers
    except OSError:
        return False


@contextmanager
def _running(command: list[str], port: int, secret: str, environment: dict[str, str]) -> Iterator[Measured]:
    """A server for the length of a measurement, ended by its own id."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        until = time.monotonic() + 30
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                msg = f"{command} did not come up"
                raise RuntimeError(msg)
            time.sleep(0.05)
        yield Measured(port=port, secret=secret, process=process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def baseline(port: int) -> Iterator[Measured]:
    """The bare Litestar application."""
    secret = secrets.token_hex(16)
    with _running([sys.executable, "-m", "bench.baseline", str(port), secret], port, secret, {}) as measured:
        yield measured


@contextmanager
def host(port: int, plan: HostPlan) -> Iterator[Measured]:
    """The real host, intake only: `serve --no-jobs` on a seeded database."""
    command = [sys.executable, "-m", "moorage", "serve", "--no-jobs"]
    with _running(command, port, plan.app_secret, plan.environment(port)) as measured:
        yield measured
