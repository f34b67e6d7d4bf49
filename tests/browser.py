"""Pages in a real Chromium: one to run, pages whose console and requests are seen, waiting without eval."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

FAULTS = Path(__file__).with_name("faults.js")


@pytest.fixture(scope="module")
def browser():
    """Chromium, as the system has it or as playwright brings it."""
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        flags = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
        try:
            running = playwright.chromium.launch(executable_path=path, args=flags)
        except api.Error as error:
            pytest.skip(f"no Chromium: {str(error).splitlines()[0]}")
        yield running
        running.close()


def opened(browser, path, **options):
    """The page of a file, and a list that what its console says and what it asks of a network goes to."""
    page = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | options))
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url),
    )
    page.goto(path.as_uri())
    return page, problems


def until(page, expression, seconds=20):
    """Waits for an expression to hold. Pages forbid eval, which Playwright's own waiting needs."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"not within {seconds} s: {expression}"
        page.wait_for_timeout(50)


def faults(page, *, smallest=12.0, contrast=4.5):
    """What somebody could not read of a page as it lies: text that is small, pale or beyond its edge.

    smallest: pixels of the screen. contrast: least ratio of luminances, as WCAG 2 defines it. Of text in a
    drawing only what is seen in the window is compared with what lies under it.
    """
    return page.evaluate(FAULTS.read_text(), [smallest, contrast])
