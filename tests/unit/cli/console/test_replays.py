"""Replays of dead letters from a page: a check first, then the sending, with a reason."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.unit.cli.console.environment import FakeChanges, FakeSources, dead_letter, serving

from kallback.cli.console.changes import ReplayForm, ReplayOrder
from kallback.kafka import DeadLetterId
from kallback.protocol.by_hand import Operator

ASKED = {"reason": "late", "type": "shop.pack", "limit": "7", "rate": "9", "again": "1"}


@pytest.fixture
def changes() -> FakeChanges:
    """What the console changes."""
    return FakeChanges()


@pytest.fixture
async def client(changes: FakeChanges) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of a console that allows changes."""
    async with serving(FakeSources(dead=[dead_letter()]), changes=changes) as client:
        client.follow_redirects = True
        yield client


async def secret_of(client: httpx.AsyncClient) -> str:
    """What a form of the list has."""
    found = re.search(r'name="form_secret" value="([^"]+)"', (await client.get("/dead-letters")).text)
    assert found is not None
    return found[1]


async def test_a_check_sends_nothing(client: httpx.AsyncClient, changes: FakeChanges) -> None:
    """Its page says what would be sent, and has the form that does it."""
    data = {"form_secret": await secret_of(client), **ASKED}
    page = (await client.post("/dead-letters/replay/check", data=data)).text

    wanted = ReplayForm(None, "late", "shop.pack", 7, 9, again=True)
    assert (changes.replays.checks, changes.replays.sent) == ([wanted], [])
    assert "1 dead letter would be sent." in page
    assert 'action="/dead-letters/replay/send"' in page


async def test_what_was_checked_is_sent(client: httpx.AsyncClient, changes: FakeChanges) -> None:
    """With the fields of the page of the check, and the operator's reason."""
    data = {"form_secret": await secret_of(client), "id": "0:7"}
    page = (await client.post("/dead-letters/replay/check", data=data)).text
    hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page))
    done = (await client.post("/dead-letters/replay/send", data={**hidden, "why": "the key is back"})).text

    assert "Replayed 1 of 1 dead letter." in done
    assert changes.replays.checks == [ReplayForm(DeadLetterId(0, 7))]
    assert changes.replays.sent == [ReplayOrder("checked", Operator("console", "the key is back"))]


async def test_a_reload_of_an_answer_sends_nothing(client: httpx.AsyncClient, changes: FakeChanges) -> None:
    """The answer is a page with an address; the form sent again, or the page of the check, leads there, too."""
    data = {"form_secret": await secret_of(client), "all": "1"}
    checked = await client.post("/dead-letters/replay/check", data=data)
    form = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', checked.text)) | {"why": "x"}
    sent, again = [await client.post("/dead-letters/replay/send", data=form) for _ in range(2)]
    reloaded, back = await client.get(sent.url), await client.get(checked.url)

    assert [len(changes.replays.checks), len(changes.replays.sent)] == [1, 1]
    assert [answer.history[0].status_code for answer in (checked, sent, again, back)] == [303] * 4
    assert {answer.url.path for answer in (sent, again, reloaded, back)} == {"/answers/checked"}
    assert {answer.text for answer in (again, reloaded, back)} == {sent.text}
    assert "Replayed 1 of 1 dead letter." in sent.text


async def test_a_list_that_is_being_sent_is_not_said_to_be_gone(
    client: httpx.AsyncClient, changes: FakeChanges
) -> None:
    """Its operator would check and send again; the page waits, and leads to the answer."""
    changes.replays.running = "checked"
    page = await client.get("/dead-letters/replay/checked")
    assert page.status_code == 200
    assert "This list is being sent" in page.text
    assert "<form" not in page.text


@pytest.mark.parametrize("path", ["/answers/old", "/dead-letters/replay/old"])
async def test_a_page_that_is_not_kept_any_more_sends_nothing(client: httpx.AsyncClient, path: str) -> None:
    """It says so, and where to go on."""
    answer = await client.get(path)
    assert answer.status_code == 404
    assert "A look at this page sends nothing" in answer.text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"all": "1", "why": "x", "limit": "1001"}, "the limit is a number from 1 to 1000"),
        ({"all": "1", "why": "x", "rate": "0"}, "the rate is a number from 1 to 1000"),
        ({"all": "1", "why": "x", "rate": "fast"}, "the rate is a number from 1 to 1000"),
        ({"why": "x", "id": "7"}, "PARTITION:OFFSET"),
    ],
)
async def test_a_field_that_cannot_be_used_is_said(
    client: httpx.AsyncClient, changes: FakeChanges, fields: dict[str, str], sentence: str
) -> None:
    """And nothing is read."""
    data = {"form_secret": await secret_of(client), **fields}
    answer = await client.post("/dead-letters/replay/check", data=data)
    assert (answer.status_code, changes.replays.checks) == (400, [])
    assert sentence in answer.text


async def test_a_replay_needs_a_reason(client: httpx.AsyncClient, changes: FakeChanges) -> None:
    """Its marker says it."""
    data = {"form_secret": await secret_of(client), "plan": "checked"}
    answer = await client.post("/dead-letters/replay/send", data=data)
    assert (answer.status_code, changes.replays.sent) == (400, [])
    assert "the reason is empty: say why" in answer.text


@pytest.mark.parametrize("step", ["check", "send"])
async def test_a_form_without_the_secret_is_refused(client: httpx.AsyncClient, changes: FakeChanges, step: str) -> None:
    """Also where nothing would be changed: reading the topic costs something."""
    answer = await client.post(f"/dead-letters/replay/{step}", data={"form_secret": "x", "why": "x"})
    assert (answer.status_code, changes.replays.checks, changes.replays.sent) == (403, [], [])


async def test_without_the_switch_there_is_no_form() -> None:
    """It is read-only by default."""
    async with serving(FakeSources(dead=[dead_letter()])) as client:
        pages = [(await client.get(path)).text for path in ("/dead-letters", "/dead-letters/0:7")]
        answer = await client.post("/dead-letters/replay/send", data={"why": "x"})
    assert [page.count('method="post"') for page in pages] == [0, 0]
    assert answer.status_code == 405


@pytest.mark.parametrize("fields", [{}, {"reason": " ", "type": ""}, {"all": "0", "limit": "5"}])
async def test_an_empty_form_does_not_mean_all_dead_letters(
    client: httpx.AsyncClient, changes: FakeChanges, fields: dict[str, str]
) -> None:
    """All of them are meant only if the box is ticked, as with --all on the command line."""
    data = {"form_secret": await secret_of(client), **fields}
    answer = await client.post("/dead-letters/replay/check", data=data)
    assert (answer.status_code, changes.replays.checks, changes.replays.sent) == (400, [], [])
    assert "nothing is chosen: give a reason or a type, or tick &quot;All of them&quot;" in answer.text


async def test_all_dead_letters_are_checked_and_sent_on_demand(client: httpx.AsyncClient, changes: FakeChanges) -> None:
    """The page of the check passes the choice on."""
    data = {"form_secret": await secret_of(client), "all": "1"}
    page = (await client.post("/dead-letters/replay/check", data=data)).text
    hidden = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page))
    await client.post("/dead-letters/replay/send", data={**hidden, "why": "the key is back"})
    assert [len(each) for each in (changes.replays.checks, changes.replays.sent)] == [1, 1]


@pytest.mark.parametrize(
    ("step", "fields", "shown"),
    [
        ("check", {"reason": "la<te>", "type": "a b", "limit": "0", "rate": "7", "again": "1"}, "reason"),
        ("check", {"id": "0:7", "again": "1", "limit": "0"}, "again"),
        ("send", {"plan": "checked", "why": ""}, "plan"),
    ],
)
async def test_a_refused_form_is_shown_again_as_it_was_typed(
    client: httpx.AsyncClient, step: str, fields: dict[str, str], shown: str
) -> None:
    """The step is the same, and a page leads back."""
    secret = await secret_of(client)
    answer = await client.post(f"/dead-letters/replay/{step}", data={"form_secret": secret, **fields})
    assert answer.status_code == 400
    assert f'action="/dead-letters/replay/{step}"' in answer.text
    assert f'name="{shown}"' in answer.text
    for name, value in fields.items():
        if f'name="{name}"' in answer.text:
            assert f'value="{html.escape(value)}"' in answer.text
    assert (" checked" in answer.text) == (step == "check")
    assert f'<a href="/dead-letters{"/0%3A7" if "id" in fields else ""}">Back</a>' in answer.text
