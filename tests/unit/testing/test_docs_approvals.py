"""The handler of the page on approvals does what the page says, when a person answers and when none does."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kallback.protocol import Problem
from kallback.sdk import TaskFailed
from kallback.testing import HandlerTest

PAGE = (Path(__file__).parents[3] / "docs" / "approvals.md").read_text("utf-8")
HANDLER, AGAIN, FORM, LINK, WITHDRAWN, WORKFLOW, WEB = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
DAY = timedelta(days=1)


@pytest.fixture(name="page")
def names_of_the_page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the first snippet defines."""
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    names: dict[str, Any] = {"__name__": "approvals"}
    exec(compile(HANDLER, "docs/approvals.md", "exec"), names)
    return names


async def buy(page: dict[str, Any], test: HandlerTest, *answers: Any) -> str:
    """Run the handler; the step that sends the mail does this with the token."""

    async def send_mail(*, item: str, token: str) -> None:
        assert item == "lamp"
        for answer in answers:
            answer(token)

    page |= {"callbacks": test.callbacks, "send_mail": send_mail}
    return str(await test.run(page["buy"], "lamp"))


@pytest.mark.parametrize(("approved", "said"), [(True, "ordered"), (False, "refused")])
async def test_a_person_answers(page: dict[str, Any], *, approved: bool, said: str) -> None:
    """A day later; the first answer counts."""
    async with HandlerTest() as test:
        answers = [
            lambda token: test.complete(token, approved, after=DAY),
            lambda token: test.complete(token, not approved, after=2 * DAY),
        ]
        assert await buy(page, test, *answers) == said
        assert test.elapsed == DAY


async def test_a_person_refuses_with_a_reason(page: dict[str, Any]) -> None:
    """As `callbacks.fail` and `kallback fail` do."""
    async with HandlerTest() as test:
        with pytest.raises(TaskFailed, match="ask again in May"):
            await buy(page, test, lambda token: test.fail(token, Problem("TooExpensive", 422, "ask again in May")))


async def test_a_person_who_does_not_answer(page: dict[str, Any]) -> None:
    """The timeout of the task type."""
    async with HandlerTest() as test:
        assert await buy(page, test) == "no answer within a week"
        assert test.elapsed == 7 * DAY


async def test_an_answer_of_another_type_is_asked_for_again(page: dict[str, Any]) -> None:
    """With another token: the first one is used up."""
    exec(compile(AGAIN, "docs/approvals.md", "exec"), page)
    async with HandlerTest() as test:
        answers, tokens = ["maybe", True], set[str]()

        async def send_mail(*, item: str, token: str) -> None:
            assert item == "lamp"
            tokens.add(token)
            test.complete(token, answers.pop(0))

        page |= {"callbacks": test.callbacks, "send_mail": send_mail}
        assert await test.run(page["ask_until_it_fits"], "lamp") is True
        assert len(tokens) == 2


async def test_a_person_clicks(page: dict[str, Any]) -> None:
    """The link has question and answers, beside the token."""
    exec(compile(FORM, "docs/approvals.md", "exec"), page)
    async with HandlerTest() as test:

        async def mail_link(*, item: str, link: str) -> None:
            assert item == "lamp"
            token, _, form = link.rpartition("/")[2].partition("?form=")
            assert form
            test.complete(token, value=True)

        page |= {"callbacks": test.callbacks, "mail_link": mail_link}
        assert await test.run(page["buy_by_click"], "lamp") == "ordered"


async def test_another_program_answers_by_link(page: dict[str, Any]) -> None:
    """The link is an address of the gateway that ends with the token."""
    exec(compile(LINK, "docs/approvals.md", "exec"), page)
    async with HandlerTest() as test:

        async def post_order(*, item: str, answer_to: str) -> None:
            assert item == "lamp"
            address, _, token = answer_to.rpartition("/")
            assert address.endswith("/v1")
            test.complete(token, value=True)

        page |= {"callbacks": test.callbacks, "post_order": post_order}
        assert await test.run(page["buy_by_link"], "lamp") == "ordered"


@pytest.mark.parametrize(
    ("after", "said"), [(timedelta(hours=1), "ordered"), (timedelta(hours=9), "ordered without asking")]
)
async def test_a_question_is_withdrawn(page: dict[str, Any], after: timedelta, said: str) -> None:
    """An answer that comes later changes nothing."""
    exec(compile(WITHDRAWN, "docs/approvals.md", "exec"), page)
    async with HandlerTest() as test:

        async def send_mail(*, item: str, token: str) -> None:
            assert item == "lamp"
            test.complete(token, value=True, after=after)

        page |= {"callbacks": test.callbacks, "send_mail": send_mail}
        assert await test.run(page["buy_or_go_on"], "lamp") == said


async def test_the_workflow_keeps_the_token_for_its_page(page: dict[str, Any]) -> None:
    """The link has an id of the application, and the token is in the state."""
    exec(compile(WORKFLOW, "docs/approvals.md", "exec"), page)
    page["callbacks"].app([page["purchases"]])
    async with HandlerTest() as test:

        async def send_link(*, item: str, link: str) -> None:
            assert (item, link) == ("lamp", "https://shop.example.com/approve/p-1")
            test.complete(json.loads(test.state["token"]), value=True, after=DAY)

        page |= {"callbacks": test.callbacks, "send_link": send_link}
        assert await test.run(page["run"], "lamp", key="p-1") == "ordered"


def test_the_web_page_is_python() -> None:
    """No web framework is installed here, so it is not run."""
    compile(WEB, "docs/approvals.md", "exec")
