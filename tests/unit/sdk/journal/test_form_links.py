"""`waiting.form_url`: a link to a page with a question and buttons, made in a handler."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import restate
from restate import TerminalError

from kallback.protocol import TaskType
from kallback.protocol.links import read_form
from kallback.sdk.callbacks import environment_of_callbacks
from kallback.testing import HandlerTest

APPROVE = TaskType("orders.approve", request=None, result=bool)
BUTTONS = {"Approve": True, "Refuse": False}


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


async def form_url(test: HandlerTest, question: Any = "Order the lamp?", choices: Any = BUTTONS) -> tuple[str, str]:
    """The token and the link that a handler gets."""

    async def handler(ctx: restate.Context) -> list[str]:
        waiting = await test.callbacks.awakeable(ctx, APPROVE)
        return [waiting.token, waiting.form_url(question, choices)]

    token, url = await test.run(handler)
    return token, url


async def test_the_link_has_question_and_answers(test: HandlerTest) -> None:
    """As JSON of the task type's result, signed together with the token."""
    token, url = await form_url(test)

    parts = urlsplit(url)
    keyring = environment_of_callbacks(test.callbacks).dependencies.signing.keyring
    form = read_form(parse_qs(parts.query)["form"][0], token, keyring)
    assert parts.path == f"/v1/{token}"
    assert form is not None
    assert form.question == "Order the lamp?"
    assert [(each.label, bytes(each.value)) for each in form.choices] == [("Approve", b"true"), ("Refuse", b"false")]


@pytest.mark.parametrize(
    ("question", "choices", "sentence"),
    [
        ("", BUTTONS, "question"),
        (7, BUTTONS, "question must be a str"),
        ("\ud800", BUTTONS, "UTF-8"),
        ("Order?", {}, "choices"),
        ("Order?", ["Approve"], "choices must be a dict"),
        ("Order?", {"Perhaps": "maybe"}, "Perhaps.*bool"),
        ("Order?", {7: True}, "label of choices must be a str"),
    ],
)
async def test_a_mistake_ends_the_handler(test: HandlerTest, question: Any, choices: Any, sentence: str) -> None:
    """No retry repairs it."""
    with pytest.raises(TerminalError, match=sentence):
        await form_url(test, question, cast("Any", choices))
