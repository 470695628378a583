"""The documentation site in Chromium: that every page renders as its author meant it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncGenerator, Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from scripts.publish_site import write_version

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
SITE = Path(__file__).parents[2] / ".cache" / "site"
PAGES = sorted(str(path.parent.relative_to(SITE)) for path in SITE.rglob("index.html"))
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not PAGES, reason="the site is not built: `make site` does"),
]


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files, and writes no log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the library calls
        """Nothing."""


@pytest.fixture
def address(tmp_path: Path) -> Generator[str]:
    """Where the built site is served, as it is published: beside the list of versions."""
    write_version(tmp_path, SITE, "dev")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dev"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def page() -> AsyncGenerator[Any]:
    """A page that collects what the browser complains of, and what it asks other hosts for."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(0)  # that of the test counts
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("requestfailed", lambda request: page.complaints.extend(not_loaded(request)))
        yield page
        await browser.close()


def not_loaded(request: Any) -> list[str]:
    """What a page could not load; what it no longer wanted when the next one came is no failure."""
    return [] if "ERR_ABORTED" in (request.failure or "") else [f"not loaded: {request.url}"]


async def test_each_page_renders_and_loads_nothing_from_elsewhere(page: Any, address: str) -> None:
    """Readers behind a firewall see the same; a complaint names its page."""
    found = list[str]()

    async def own(route: Any) -> None:
        if route.request.url.startswith(address.removesuffix("dev")):
            await route.continue_()
        else:
            found.append(f"{page.url}: asks for {route.request.url}")
            await route.abort("blockedbyclient")

    await page.route("**/*", own)
    for path in PAGES:
        page.complaints.clear()
        await page.goto(f"{address}/{path}/")
        if await page.locator("article h1").count() != 1:
            found.append(f"{path}: not one first heading")
        left = await page.locator("article").evaluate(LEFT_MARKDOWN)
        found += [f"{path}: {each}" for each in [*page.complaints, *left]]
    assert found == []


LEFT_MARKDOWN = r"""article => {
    const copy = article.cloneNode(true);
    copy.querySelectorAll("pre, code, h1, h2, h3").forEach(each => each.remove());
    return copy.textContent.split("\n").filter(line => /^\s*(\||#{1,4} |- |```|\d+\. )|\]\(|\*\*|:::/.test(line));
}"""
"""Lines outside of code that still look like Markdown: its author meant a table, a list, a link or bold text."""


async def test_the_search_finds_a_term(page: Any, address: str) -> None:
    """Without a server: the index is a file."""
    await page.goto(f"{address}/")
    await page.get_by_role("button", name="Search").click()
    await page.keyboard.type("heartbeat")
    await page.locator("a", has_text="Heartbeats").nth(1).wait_for()
