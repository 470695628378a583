"""Answers over HTTP reach the handlers that wait for them, on real servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from msgspec import Raw
from msgspec.structs import replace as replace_struct
from tests.integration.gateway.conftest import APPROVE, RunningGateway

from kallback.gateway import Gateway, GatewayOptions
from kallback.protocol import MissingTopicError
from kallback.protocol.links import Choice, Form, link_of, sign_form
from kallback.web import ServerOptions

pytestmark = pytest.mark.integration


async def test_a_result_resumes_the_handler(running: RunningGateway) -> None:
    """With the bytes of the client."""
    waiting = await running.results.waiting_handler(deadline=60)
    login = {"authorization": f"Bearer {running.results.sign(waiting.token)}"}

    answer = await running.client.post("/v1/result", content=b'{"price": 1.10}', headers=login)

    assert answer.status_code == 202
    assert '"value":{"price": 1.10}' in await asyncio.wait_for(waiting.answer, 60)


async def test_a_post_to_the_link_resumes_the_handler(running: RunningGateway) -> None:
    """Opening the link before does not."""
    waiting = await running.results.waiting_handler()
    link = f"/v1/{running.results.sign(waiting.token)}"

    opened = await running.client.get(link)
    answered = await running.client.post(link, json=True)

    assert (opened.status_code, answered.status_code) == (200, 202)
    assert (await waiting.envelope())["value"] is True


async def test_a_button_of_a_form_resumes_the_handler(running: RunningGateway) -> None:
    """Opening the page before does not."""
    waiting = await running.results.waiting_handler(deadline=60)
    token = running.results.sign(waiting.token)
    form = Form("Order the lamp?", (Choice("Approve", Raw(b"true")), Choice("Refuse", Raw(b"false"))))
    link = link_of("", token, sign_form(form, token, running.results.settings.keys.require()))

    opened = await running.client.get(link)
    answered = await running.client.post(link, data={"choice": "1"})

    assert (opened.status_code, answered.status_code) == (200, 202)
    assert (await waiting.envelope())["value"] is False


async def test_a_link_is_good_until_an_answer_fits(running: RunningGateway) -> None:
    """An empty body and one of another type are refused, and the handler waits on."""
    waiting = await running.results.waiting_handler()
    link = f"/v1/{running.results.sign(replace_struct(waiting.token, task_type=APPROVE.name))}"

    answers = [await running.client.post(link, content=body) for body in ("", '"maybe"', "true")]

    assert [answer.status_code for answer in answers] == [422, 422, 202]
    assert (await waiting.envelope())["value"] is True


async def test_a_failure_resumes_the_handler(running: RunningGateway) -> None:
    """The handler gets the client's problem object."""
    waiting = await running.results.waiting_handler()
    problem = {"type": "TooExpensive", "status": 422, "detail": "ask again in May"}

    answer = await running.client.post(f"/v1/{running.results.sign(waiting.token)}/failure", json=problem)

    assert answer.status_code == 202
    envelope = await waiting.envelope()
    assert (envelope["status"], envelope["error"]) == ("failed", problem)


async def test_a_heartbeat_is_in_the_progress_topic(running: RunningGateway) -> None:
    """When the client has its 202, Kafka has the record."""
    token = running.results.sign()

    answer = await running.client.post(f"/v1/{token}/heartbeat", json={"percent": 40})

    assert answer.status_code == 202
    records = await running.results.read(running.results.settings.topics.progress)
    assert [each.value for each in records if dict(each.headers)["kallback-token"] == token.encode()] == [
        b'{"percent":40}'
    ]


async def test_a_second_answer_changes_nothing(running: RunningGateway) -> None:
    """The first one counts."""
    waiting = await running.results.waiting_handler()
    link = f"/v1/{running.results.sign(waiting.token)}"

    answers = [await running.client.post(link, json=value) for value in ("first", "second")]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert (await waiting.envelope())["value"] == "first"


async def test_a_gateway_does_not_start_without_its_topics(running: RunningGateway) -> None:
    """The sentence names the command that makes them."""
    topics = replace(running.results.settings.topics, progress="not-there")
    settings = replace(running.results.settings, topics=topics)
    options = GatewayOptions(server=ServerOptions(port=0), client=running.gateway.options.client)

    with pytest.raises(MissingTopicError, match="kallback topics create"):
        await Gateway(settings, options).start()
