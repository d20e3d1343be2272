"""Find the Chromium that the end-to-end tests drive, or fetch one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VARIABLES = ("MOORAGE_TEST_CHROMIUM", "CHROMIUM")
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class BrowserMissingError(Exception):
    """No Chromium here, and none could be had; the text says what was tried."""


def find_chromium() -> str | None:
    """The path of a Chromium: the one the environment names, one on PATH, or Playwright's own."""
    if named := _named():
        return shutil.which(named)
    return next(filter(None, map(shutil.which, NAMES)), None) or _playwrights_own()


def ensure_chromium() -> str:
    """The path of a Chromium, installed now if there is none.

    Raises:
        BrowserMissingError: neither apt nor Playwright could bring one.
    """
    found = find_chromium()
    if found:
        return found
    if named := _named():
        raise BrowserMissingError(f"the environment names {named!r} as Chromium, which is no program")
    tried = [" ".join(command) for command in _ways_to_get_one() if not _worked(command)]
    found = find_chromium()
    if not found:
        raise BrowserMissingError(f"no Chromium on PATH; tried in vain: {'; '.join(tried)}")
    return found


def _named() -> str | None:
    """What the environment says the browser is."""
    return next(filter(None, map(os.environ.get, VARIABLES)), None)


def _ways_to_get_one() -> list[list[str]]:
    """apt where we may use it (a Debian or Ubuntu container), else Playwright's download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return [
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"],
        ]
    return [[sys.executable, "-m", "playwright", "install", "chromium"]]


def _worked(command: list[str]) -> bool:
    """Run `command`, its output on stderr, and say whether it succeeded."""
    print("No Chromium yet:", *command, file=sys.stderr, flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=quiet, stdout=sys.stderr, check=False).returncode == 0


def _playwrights_own() -> str | None:
    """The browser that `playwright install` would have put on this machine, if it did."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (a quarter second, seldom needed)

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return str(path) if path.is_file() else None
