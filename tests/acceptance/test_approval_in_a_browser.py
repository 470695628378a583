"""The gateway's page with buttons in Chromium, without JavaScript: a person clicks, and the answer is written."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from tests.unit.bridge.factories import KEYRING
from tests.unit.gateway.environment import GatewayEnv, environment

from kallback.protocol.links import Choice, Form, link_of, sign_form

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
MARKUP = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
async def page() -> AsyncGenerator[Any]:
    """A page that collects what the browser complains of."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(java_script_enabled=False)
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        yield page
        await browser.close()


def path_of(env: GatewayEnv, question: str) -> str:
    """A link with two answers."""
    choices = (Choice("Approve", msgspec.Raw(b"true")), Choice("Refuse", msgspec.Raw(b"false")))
    token = env.make.sign()
    return link_of("", token, sign_form(Form(question, choices), token, KEYRING))


@pytest.mark.parametrize("question", ["Order the lamp?", MARKUP])
async def test_a_person_refuses_with_a_click(page: Any, question: str) -> None:
    """The policy of the page lets its form be sent, and markup in a question is text."""
    env = environment()
    async with env.running() as gateway:
        await page.goto(f"http://127.0.0.1:{gateway.port}{path_of(env, question)}")
        assert question in await page.inner_text("main")
        assert env.records() == []
        await page.get_by_role("button", name="Refuse").click()
        assert "Your answer was sent: Refuse" in await page.inner_text("main")
    assert [record.value for record in env.records()] == [b"false"]
    assert page.complaints == []
