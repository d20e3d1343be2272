"""A headless Chromium: the system's, or the one that the environment names."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import BrowserContext, async_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The executable to drive; `None` leaves the choice to Playwright's own download."""
    named = os.environ.get("MOORAGE_TEST_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@asynccontextmanager
async def browsing(
    *, width: int = 1280, height: int = 800, dark: bool = False
) -> AsyncIterator[BrowserContext]:
    """A fresh browser profile that refuses to leave this machine."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
        finally:
            await browser.close()
