"""A link with a form: a page with buttons, of which a click answers and nothing else does."""

from __future__ import annotations

import asyncio
import re
import time
from html.parser import HTMLParser

import httpx
import msgspec
import pytest
from tests.unit.bridge.factories import KEYRING
from tests.unit.gateway.environment import GatewayEnv, client_of

from kallback.gateway import Gateway
from kallback.gateway.first_answers import FirstAnswers
from kallback.protocol import Token
from kallback.protocol.links import Choice, Form, link_of, sign_form

FORM = Form("Order the lamp?", (Choice("Approve", msgspec.Raw(b"true")), Choice("Refuse", msgspec.Raw(b"false"))))
PAGE = ["html", "head", "meta", "meta", "meta", "title", "body", "main"]
HOSTILE = "</p></form><script>alert(1)</script><img src=x onerror='a()'>&quot;\"\x00\x1b[2J\u202e{title}"


def link(env: GatewayEnv, form: Form = FORM, token: Token | None = None) -> str:
    """Of a token of its own."""
    text = env.make.sign(token)
    return link_of("", text, sign_form(form, text, KEYRING))


async def opened(gateway: Gateway, path: str, method: str = "GET") -> httpx.Response:
    """What a browser gets."""
    async with client_of(gateway) as client:
        return await client.request(method, path)


async def pressed(gateway: Gateway, path: str, number: str = "0") -> httpx.Response:
    """What a browser gets after a click."""
    async with client_of(gateway) as client:
        return await client.post(path, data={"choice": number})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_opening_it_answers_nothing(env: GatewayEnv, method: str) -> None:
    """Programs that scan mails open each link."""
    async with env.running() as gateway:
        answer = await opened(gateway, link(env), method)

    assert (answer.status_code, env.records()) == (200, [])


async def test_the_page_has_the_question_and_a_button_for_each_answer(env: GatewayEnv) -> None:
    """Buttons send a form to the link itself."""
    async with env.running() as gateway:
        page = (await opened(gateway, link(env))).text

    assert "Order the lamp?" in page
    assert '<form method="post">' in page
    assert re.findall(r'<button name="choice" value="(\d)"[^>]*>(\w+)<', page) == [("0", "Approve"), ("1", "Refuse")]


@pytest.mark.parametrize(("number", "value"), [("0", b"true"), ("1", b"false")])
async def test_a_button_sends_its_answer(env: GatewayEnv, number: str, value: bytes) -> None:
    """As a worker's result, and the person is told which."""
    async with env.running() as gateway:
        answer = await pressed(gateway, link(env), number)

    assert answer.status_code == 202
    assert ["Approve", "Refuse"][int(number)] in answer.text
    assert [record.value for record in env.records()] == [value]


async def test_a_second_click_is_told_which_answer_came_first(env: GatewayEnv) -> None:
    """Also who opens the link again; a form of another token knows nothing of it."""
    address = link(env)
    async with env.running() as gateway:
        first = await pressed(gateway, address, "0")
        page = await opened(gateway, address)
        second = await pressed(gateway, address, "1")
        third = await pressed(gateway, address, "1")
        other = await opened(gateway, link(env))

    assert "answered before" not in first.text + other.text
    assert "answered before: <bdi>Approve</bdi>" in page.text
    for answer in (second, third):
        assert "sent before yours: <bdi>Approve</bdi>" in answer.text
        assert "Your answer was sent: <bdi>Refuse</bdi>" in answer.text


def test_the_forms_that_were_answered_last_are_remembered() -> None:
    """A flood of answers takes no memory without end."""
    answers = FirstAnswers(most=2)
    tokens = [f"{number:064}" for number in range(3)]
    for token in tokens:
        answers.remember(token, "Approve")
    assert [answers.of(token) for token in tokens] == ["", "Approve", "Approve"]


@pytest.mark.parametrize("added", [".", ")", "&utm_source=mail"])
async def test_what_mail_programs_add_does_no_harm(env: GatewayEnv, added: str) -> None:
    """Neither a full stop nor a parameter of a program that counts clicks."""
    async with env.running() as gateway:
        answer = await pressed(gateway, link(env) + added)

    assert answer.status_code == 202


async def test_a_person_who_has_to_wait_reads_so(env: GatewayEnv) -> None:
    """The rate limit of a network that many share is no reason to show JSON to a person; programs get it as before."""
    async with env.running(burst=1, requests_per_second=0.001) as gateway:
        address = link(env)
        await opened(gateway, address)
        pages = [await opened(gateway, address), await pressed(gateway, address)]
        program = await opened(gateway, address.partition("?")[0])

    for page in pages:
        assert (page.status_code, page.headers["content-type"]) == (429, "text/html; charset=utf-8")
        assert "Wait a moment" in page.text
        assert "retry-after" in page.headers
    assert program.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("outcome", "status"), [("busy", 503), ("too-slow", 408)])
async def test_a_person_whose_button_did_not_get_through_reads_so(env: GatewayEnv, outcome: str, status: int) -> None:
    """A body that is not taken was a button that was pressed: JSON would say nothing to who pressed it."""
    bounds: dict[str, float] = {"request_timeout": 0.2}
    if outcome == "busy":
        bounds = {"max_body_bytes": 8, "max_buffered_bytes": 8}
    async with env.running(**bounds) as gateway:
        body = "choice=0" if outcome == "busy" else ""
        gateway.stats.buffered_bytes += len(body)  # as if another connection held as much
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        target = link(env).partition("/v1/")[2]
        media = "application/x-www-form-urlencoded"
        head = f"POST /v1/{target} HTTP/1.1\r\nHost: x\r\nContent-Type: {media}\r\nContent-Length: 8\r\n\r\n"
        writer.write((head + body).encode())
        answer = (await reader.read()).decode()
        writer.close()

    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert "text/html" in answer.partition("\r\n\r\n")[0]
    assert "Nothing was sent" in answer
    assert env.records() == []


async def test_hostile_text_is_text(env: GatewayEnv) -> None:
    """A customer may have chosen a part of the question; the page has no element of it, and runs no scripts."""
    form = Form(HOSTILE, (Choice(f"{HOSTILE:.50}", msgspec.Raw(b"1")),))
    async with env.running() as gateway:
        page = await opened(gateway, link(env, form))
        answer = await pressed(gateway, link(env, form))

    assert elements(page.text) == [*PAGE, "p", "form", "button", "p"]
    assert elements(answer.text) == [*PAGE, "h1", "p", "bdi", "p"]
    assert not set("\x00\x1b") & set(page.text + answer.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("sign", ["\u202e", "\u202d", "\u2067", "\x9b"])
async def test_a_customers_text_turns_no_figures_round(env: GatewayEnv, sign: str) -> None:
    """With an override in the name of an item, the price behind it would be read from right to left."""
    form = Form(f"Pay the lamp{sign} 12 EUR?", (Choice(f"{sign}Pay 12", msgspec.Raw(b"1")),))
    async with env.running() as gateway:
        page = await opened(gateway, link(env, form))
        answer = await pressed(gateway, link(env, form))

    assert "Pay the lamp 12 EUR?" in page.text
    assert ">Pay 12<" in page.text
    assert ">Pay 12<" in answer.text


def elements(page: str) -> list[str]:
    """The names of a page's elements, in their order."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            del attrs
            found.append(tag)

    Reader().feed(page)
    return found


async def test_an_altered_question_is_not_shown(env: GatewayEnv) -> None:
    """Neither is it that of another token; and its buttons answer nothing."""
    first, second = link(env), link(env, Form("Order the ship?", FORM.choices))
    mixed = f"{first.partition('?')[0]}?{second.partition('?')[2]}"
    async with env.running() as gateway:
        answers = [await opened(gateway, mixed), await pressed(gateway, mixed)]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert all("ship" not in answer.text and "not valid" in answer.text for answer in answers)
    assert env.records() == []


@pytest.mark.parametrize("number", ["2", "-1", "", "x", "0" * 300, "\u0660"])
async def test_an_answer_that_is_no_button_is_refused(env: GatewayEnv, number: str) -> None:
    """The token stays good."""
    path = link(env)
    async with env.running() as gateway:
        refused = await pressed(gateway, path, number)
        answer = await pressed(gateway, path)

    assert (refused.status_code, answer.status_code) == (422, 202)
    assert "press one of the buttons" in refused.text


async def test_just_after_the_deadline_the_page_warns_above_its_buttons(env: GatewayEnv) -> None:
    """Clocks may differ, so the answer is taken, and the person knows before the click that it may not count."""
    now = int(time.time() * 1000)
    path = link(env, token=msgspec.structs.replace(env.make.token(), deadline_ms=now - 5_000))
    async with env.running() as gateway:
        page, answer = await opened(gateway, path), await pressed(gateway, path)
        timely = await opened(gateway, link(env))

    assert (page.status_code, answer.status_code) == (200, 202)
    assert 0 < page.text.index("time for an answer is just over") < page.text.index("<button")
    assert "may not count" in answer.text
    assert "just over" not in timely.text


async def test_after_the_deadline_there_are_no_buttons(env: GatewayEnv) -> None:
    """The page is true for a person who is too late, and for one who has answered and opens the link again."""
    path = link(env, token=env.make.token(deadline=1 - env.make.now))
    async with env.running() as gateway:
        answers = [await opened(gateway, path), await pressed(gateway, path)]

    assert [answer.status_code for answer in answers] == [410, 410]
    assert all("This question is closed" in answer.text and "<button" not in answer.text for answer in answers)
    assert all("an earlier answer is not affected" in answer.text for answer in answers)
    assert all("Not answered" not in answer.text for answer in answers)


async def test_a_program_answers_the_same_link_with_json(env: GatewayEnv) -> None:
    """As a link without a form."""
    async with env.running() as gateway, client_of(gateway) as client:
        answer = await client.post(link(env), json={"any": "value"})

    assert answer.json()["status"] == "accepted"
    assert [record.value for record in env.records()] == [b'{"any":"value"}']


async def test_a_form_in_place_of_json_needs_a_form_in_the_link(env: GatewayEnv) -> None:
    """Otherwise a body of a form has no meaning."""
    async with env.running() as gateway:
        answer = await pressed(gateway, link(env).partition("?")[0])

    assert (answer.status_code, env.records()) == (415, [])
