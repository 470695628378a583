"""Changes that operators make on a page, and forms that are refused."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.unit.cli.console.environment import (
    NOW_MS,
    TOKEN,
    FakeChanges,
    FakeMany,
    FakeReplays,
    FakeSources,
    outcome,
    pending,
    serving,
)

from kallback.cli.console.changes import Change, ChangeAction
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.console.sender import ChangeSender
from kallback.kafka import MemoryBroker, MemoryClients, Record
from kallback.operations import NoKeyError, NotAnswerableError, PendingTask
from kallback.protocol import (
    AccessDeniedError,
    Attempt,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    Keyring,
    Problem,
    TaskHeaders,
    TaskType,
)
from kallback.protocol.by_hand import Operator
from kallback.settings import KeySettings, Secret, Settings

TASK = pending()
ADDRESS = f"/tasks/{TASK.task_id}"


async def secret_of(client: httpx.AsyncClient) -> str:
    """What a form of the task's page has."""
    found = re.search(r'name="form_secret" value="([^"]+)"', (await client.get(ADDRESS)).text)
    assert found is not None
    return found[1]


async def send(
    client: httpx.AsyncClient, action: str, fields: dict[str, str] | None = None, headers: dict[str, str] | None = None
) -> int:
    """Send a form as the task's page does; the status of the answer."""
    data = {"form_secret": await secret_of(client), "attempt": "1", "why": "it hangs", **(fields or {})}
    return (await client.post(f"{ADDRESS}/{action}", data=data, headers=headers)).status_code


@pytest.mark.parametrize(
    ("action", "fields", "value", "problem"),
    [
        ("complete", {"value": '{"shelf": "B3"}'}, b'{"shelf": "B3"}', Problem()),
        ("fail", {"type": "OutOfStock", "detail": "no basil"}, b"null", Problem("OutOfStock", 500, "no basil")),
        ("fail", {"detail": "closed", "final": "1"}, b"null", Problem(detail="closed", retryable=False)),
        ("retry", {}, b"null", Problem()),
        ("cancel", {}, b"null", Problem()),
    ],
)
async def test_a_form_makes_a_change(action: str, fields: dict[str, str], value: bytes, problem: Problem) -> None:
    """In the name of the console, for want of a login, with the reason; the browser then opens a page that says so."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        data = {"form_secret": await secret_of(client), "attempt": "1", "why": "it hangs", **fields}
        answer = await client.post(f"{ADDRESS}/{action}", data=data)
        assert answer.status_code == 303
        sent = await client.get(answer.headers["location"])

    [(task_id, change)] = changes.made
    assert task_id == TASK.task_id
    assert change == Change(ChangeAction(action), 1, Operator("console", "it hangs"), value, problem)
    assert "Kafka has it" in sent.text


async def test_after_a_change_the_list_of_tasks_is_read_anew() -> None:
    """Its operator looks whether the task has gone; without a change, browsers share what was read."""
    sources = FakeSources([TASK])
    async with serving(sources, changes=FakeChanges()) as client:
        before = [(await client.get("/tasks")).status_code for _ in range(2)]
        reads = sources.reads
        await send(client, "cancel")
        await client.get("/tasks")
    assert (before, reads, sources.reads) == ([200, 200], 1, 2)


async def test_without_the_switch_there_are_no_forms_and_no_changes() -> None:
    """It is read-only by default."""
    async with serving(FakeSources([TASK])) as client:
        page = (await client.get(ADDRESS)).text
        answer = await client.post(f"{ADDRESS}/fail", data={"attempt": "1"})
    assert ('method="post"' in page, answer.status_code) == (False, 405)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
async def test_a_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    """Even with the secret."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        assert await send(client, "fail", headers=headers) == 403
    assert changes.made == []


LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
IMAGE = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
FRAME = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_another_site_makes_no_list_of_many_tasks(site: str) -> None:
    """Each one reads all tasks and drops an older list, so not even a link from elsewhere leads to it."""
    many = FakeMany([TASK])
    async with serving(FakeSources([TASK]), changes=FakeChanges(many)) as client:
        for how in (LINK, IMAGE, FRAME):
            answer = await client.get("/tasks/all", headers={"sec-fetch-site": site, **how})
            assert (answer.status_code, many.chosen) == (403, 0)
        own = await client.get("/tasks/all", headers={"sec-fetch-site": "same-origin", **LINK})
    assert (own.status_code, many.chosen) == (200, 1)


@pytest.mark.parametrize("page", ["/", "/tasks?type=shop.pack", ADDRESS, "/dead-letters", "/outcomes", "/processes"])
async def test_another_site_reads_a_page_only_with_a_link(page: str) -> None:
    """A runbook may lead to it; an image, a frame or a script would have the servers read as often as it wants."""
    async with serving(FakeSources([TASK])) as client:

        async def status(site: str, how: dict[str, str]) -> int:
            return (await client.get(page, headers={"sec-fetch-site": site, **how})).status_code

        refused = [await status(site, how) for site in ("cross-site", "same-site") for how in (IMAGE, FRAME)]
        shown = [await status(site, LINK) for site in ("cross-site", "same-site", "none", "same-origin")]
    assert (set(refused), set(shown)) == ({403}, {200})


async def test_a_form_of_this_site_is_accepted() -> None:
    """With the headers that browsers add."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        origin = str(client.base_url).rstrip("/")
        assert await send(client, "fail", headers={"origin": origin, "sec-fetch-site": "same-origin"}) == 303


async def test_a_browser_may_tell_the_origin_of_a_form() -> None:
    """With the policy `no-referrer` it would send `Origin: null`, and the console's own forms would be refused."""
    async with serving(FakeSources([TASK]), changes=FakeChanges()) as client:
        assert (await client.get(ADDRESS)).headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("secret", ["", "x" * 43, "é"])
async def test_a_form_without_the_secret_is_refused(secret: str) -> None:
    """One of another process, too."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        assert await send(client, "fail", {"form_secret": secret}) == 403
    assert changes.made == []


@pytest.mark.parametrize("media", ["application/json", "text/plain", "multipart/form-data"])
async def test_only_forms_are_read(media: str) -> None:
    """Other types are refused before the body is read."""
    async with serving(FakeSources([TASK]), changes=FakeChanges()) as client:
        answer = await client.post(f"{ADDRESS}/fail", content=b"{}", headers={"content-type": media})
    assert answer.status_code == 415


@pytest.mark.parametrize("fields", [{"attempt": ""}, {"attempt": "x"}, {"attempt": "9" * 50}, {"why": "x" * 2000}])
async def test_a_field_that_cannot_be_used_is_said(fields: dict[str, str]) -> None:
    """And nothing is sent."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        assert await send(client, "fail", fields) == 400
    assert changes.made == []


@pytest.mark.parametrize("why", ["", "   "])
async def test_a_change_needs_a_reason(why: str) -> None:
    """A form can be sent without the browser's own checks; the page says what is missing, and leads back."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        data = {"form_secret": await secret_of(client), "attempt": "1", "why": why}
        answer = await client.post(f"{ADDRESS}/retry", data=data)
    assert (answer.status_code, changes.made) == (400, [])
    assert "the reason is empty: say why" in answer.text
    assert f'<a href="{ADDRESS}">Back</a>' in answer.text


async def test_a_result_is_written_by_the_operator() -> None:
    """The form has none to begin with: `null` was sent by mistake where the type is bool."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        page = (await client.get(ADDRESS)).text
        assert await send(client, "complete", {"value": " "}) == 400
    assert re.search(r"<textarea[^>]* required[^>]*></textarea>", page)
    assert changes.made == []


async def test_a_task_that_has_ended_is_said() -> None:
    """It ended while the operator wrote."""
    sources, changes = FakeSources([TASK]), FakeChanges()
    async with serving(sources, changes=changes) as client:
        secret = await secret_of(client)
        sources.pending.clear()
        answer = await client.post(f"{ADDRESS}/fail", data={"form_secret": secret, "attempt": "1", "why": "x"})
    assert (answer.status_code, "no handler waits" in answer.text) == (409, True)


async def test_what_cannot_be_done_is_said() -> None:
    """In the words of the operation."""
    changes = FakeChanges(error=NotAnswerableError("its deadline has <passed>"))
    async with serving(FakeSources([TASK]), changes=changes) as client:
        data = {"form_secret": await secret_of(client), "attempt": "1", "why": "x"}
        answer = await client.post(f"{ADDRESS}/fail", data=data)
    assert (answer.status_code, "deadline has &lt;passed&gt;" in answer.text) == (409, True)


async def test_a_change_needs_the_password_and_has_the_user_of_the_login() -> None:
    """The outcome record names who logged in."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes, password=Secret("open sesame")) as client:
        assert (await client.post(f"{ADDRESS}/fail", data={"attempt": "1"})).status_code == 401
        client.auth = httpx.BasicAuth("ann", "open sesame")
        assert await send(client, "fail") == 303
    assert changes.made[0][1].operator == Operator("ann", "it hangs")


async def test_a_proxy_that_names_no_user_is_said_to_be_the_cause() -> None:
    """The form has no field for the name, so the sentence does not ask the operator for it."""
    async with serving(FakeSources([TASK]), changes=FakeChanges(), user_header="X-User") as client:
        data = {"form_secret": await secret_of(client), "attempt": "1", "why": "it hangs"}
        answer = await client.post(f"{ADDRESS}/retry", data=data)
    assert answer.status_code == 400
    assert "the proxy has not named you in the header of --user-header" in answer.text


@pytest.mark.parametrize(("headers", "status"), [({"x-user": "ann"}, 303), ({}, 400)])
async def test_a_proxy_names_the_user(headers: dict[str, str], status: int) -> None:
    """If it names none, nothing is changed."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes, user_header="X-User") as client:
        assert await send(client, "fail", headers=headers) == status
    assert [change.operator.by for _, change in changes.made] == ["ann"] * (status == 303)


def results_broker() -> MemoryBroker:
    """A broker with the topic of results."""
    broker = MemoryBroker()
    broker.create_topic(Settings().topics.results)
    return broker


def sources_with_record() -> FakeSources:
    """The pending task, and its record on Kafka."""
    results = Settings().topics.results
    headers = TaskHeaders("kb1:token", TASK.task_id, Attempt(1), TASK.task_type, results)
    return FakeSources([TASK], {TASK.position: Record("tasks", 0, 0, 0, b"key", b"{}", headers.encode())})


async def test_a_change_is_a_record_like_a_workers_in_the_operators_name() -> None:
    """Sent to the results topic, with the task's own token."""
    broker, settings = results_broker(), Settings()
    sources = sources_with_record()
    async with MemoryClients(broker).producer() as producer:
        sender = ChangeSender(sources, producer, settings, FakeReplays(), FakeMany())
        change = Change(ChangeAction.COMPLETE, 1, Operator("ann", "it hangs"), b'{"shelf": "B3"}', Problem())
        await sender.make(TASK, change)

    [sent] = broker.records(settings.topics.results)
    assert sent.value == b'{"shelf": "B3"}'
    assert dict(sent.headers)["kallback-token"] == b"kb1:token"
    assert dict(sent.headers)["kallback-by"] == b"ann"


async def test_a_change_of_an_attempt_that_has_ended_is_not_made() -> None:
    """The operator has not seen the attempt that runs now."""
    async with MemoryClients(MemoryBroker()).producer() as producer:
        sender = ChangeSender(FakeSources([TASK]), producer, Settings(), FakeReplays(), FakeMany())
        change = Change(ChangeAction.FAIL, 2, Operator("ann"), b"null", Problem())
        with pytest.raises(NotAnswerableError, match="attempt 2 has ended"):
            await sender.make(TASK, change)


async def test_a_client_cannot_add_to_the_name_that_its_proxy_gives() -> None:
    """A proxy that adds a header has the last word; the name is UTF-8, as browsers and proxies write it."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes, user_header="X-User") as client:
        form = {"form_secret": await secret_of(client), "attempt": "1", "why": "it hangs"}
        names = [(b"X-User", b"root"), (b"X-User", "J\u00f6rg".encode())]
        answer = await client.post(f"{ADDRESS}/retry", data=form, headers=names)

    assert answer.status_code == 303
    assert [change.operator.by for _, change in changes.made] == ["J\u00f6rg"]


async def test_a_defect_is_not_the_gateways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence of an internal error names no other process: who reads it looks at the right log."""
    sources = FakeSources([TASK])

    async def broken(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(sources, "tasks", broken)
    async with serving(sources) as client:
        answer = await client.get("/tasks")

    assert answer.status_code == 500
    assert "The server failed, and its log says why" in answer.text


@pytest.mark.parametrize(
    ("action", "fields", "error", "status"),
    [
        ("complete", {"value": '{"a":\r\n"<b>"}', "why": " "}, None, 400),
        ("complete", {"value": '{"a":\r\n"<b>"}'}, NotAnswerableError("it does not fit"), 409),
        ("complete", {"value": '{"a":\r\n"<b>"}'}, KafkaUnavailableError("no broker"), 503),
        ("fail", {"type": "Out<Of>Stock", "detail": "no <b>"}, AccessDeniedError("no WRITE"), 503),
        ("retry", {}, NotAnswerableError("it takes none back"), 409),
        ("cancel", {}, NoKeyError("no key here belongs to the task"), 409),
    ],
)
async def test_a_refused_form_is_shown_again_as_it_was_typed(
    action: str, fields: dict[str, str], error: KallbackError | None, status: int
) -> None:
    """Whatever the reason; it can be corrected and sent as it stands."""
    changes = FakeChanges(error=error)
    async with serving(FakeSources([TASK]), changes=changes) as client:
        sent = {"form_secret": await secret_of(client), "attempt": "1", "why": 'the "oven" <hangs>', **fields}
        answer = await client.post(f"{ADDRESS}/{action}", data=sent)

    assert answer.status_code == status
    assert f'action="{ADDRESS}/{action}"' in answer.text
    for name, value in sent.items():
        shown = html.escape(value.replace("\r\n", "\n"))
        assert f">{shown}</textarea>" in answer.text if name == "value" else f'name="{name}"' in answer.text
        assert shown in answer.text
    assert "<b>" not in answer.text


async def test_without_a_detail_a_failure_says_who_and_why() -> None:
    """As on the command line."""
    changes = FakeChanges()
    async with serving(FakeSources([TASK]), changes=changes) as client:
        assert await send(client, "fail", {"detail": " "}) == 303
    assert changes.made[0][1].problem == Problem(detail="failed by console: it hangs")


async def test_after_a_change_its_outcome_is_looked_for() -> None:
    """On the page of the task that has ended: what was read before the change does not have it."""
    sources, changes = FakeSources([TASK]), FakeChanges()
    async with serving(sources, changes=changes) as client:
        assert await send(client, "complete", {"value": "{}"}) == 303
        sources.pending.clear()
        sources.results = [outcome(by="ann", why="it hangs")]
        page = (await client.get(ADDRESS)).text
    assert "Outcomes of its results" in page


PACK = TaskType("shop.pack", dict[str, str], dict[str, int])


async def test_a_result_that_does_not_fit_its_type_is_not_sent() -> None:
    """If the console knows the type, as the command line does with --types; results of other types are JSON."""
    broker, settings = results_broker(), Settings()
    sources = sources_with_record()
    change = Change(ChangeAction.COMPLETE, 1, Operator("ann"), b'{"shelf": "B3"}', Problem())
    async with MemoryClients(broker).producer() as producer:
        with pytest.raises(NotAnswerableError, match="does not fit task type"):
            await ChangeSender(sources, producer, settings, FakeReplays(), FakeMany(), [PACK]).make(TASK, change)
        assert broker.records(settings.topics.results) == []
        await ChangeSender(sources, producer, settings, FakeReplays(), FakeMany(), [replace(PACK, name="b")]).make(
            TASK, change
        )
    assert len(broker.records(settings.topics.results)) == 1


@pytest.mark.parametrize(("types", "hint"), [((PACK,), "checked against shop.pack"), ((), "--types")])
async def test_the_form_says_what_is_checked(types: tuple[TaskType[Any, Any], ...], hint: str) -> None:
    """And how to have more checked."""
    async with serving(FakeSources([TASK]), changes=FakeChanges(), types=types) as client:
        assert hint in (await client.get(ADDRESS)).text


def test_two_types_of_one_name_are_refused() -> None:
    """Only one of them could be checked."""
    with pytest.raises(ConfigurationError, match=r"two task types are named shop\.pack"):
        ConsoleOptions(types=(PACK, PACK))


def approval() -> PendingTask:
    """An awakeable that nobody has answered."""
    return replace(TASK, position=None, signal=17)


@pytest.mark.parametrize("hand_back", [True, False])
async def test_what_its_caller_never_repeats_has_no_form_for_it(*, hand_back: bool) -> None:
    """A retry would always be refused; the page says why."""
    headers = TaskHeaders(
        TOKEN, TASK.task_id, TASK.attempt, TASK.task_type, "kallback.results", None, hand_back=hand_back
    )
    assert TASK.position is not None
    record = Record("tasks", 0, 0, NOW_MS, None, b"{}", headers.encode())
    async with serving(FakeSources([TASK], {TASK.position: record}), changes=FakeChanges()) as client:
        page = (await client.get(ADDRESS)).text
    assert (f'action="{ADDRESS}/retry"' in page, "It cannot be retried" in page) == (hand_back, not hand_back)


async def test_the_page_of_an_awakeable_offers_what_can_be_done() -> None:
    """It has one attempt, so it is not retried; without keys the page says what is missing."""
    keys = KeySettings(keyring=Keyring({"k1": b"1" * 32}))
    async with serving(FakeSources([approval()]), Settings(keys=keys), FakeChanges()) as client:
        page = (await client.get(ADDRESS)).text
    async with serving(FakeSources([approval()]), Settings(), FakeChanges()) as client:
        without = (await client.get(ADDRESS)).text
    assert re.findall(rf'action="{ADDRESS}/(\w+)"', page) == ["complete", "fail", "cancel"]
    assert "Task record" in page
    assert "an awakeable, which no worker does" in page
    assert "<h2>Request</h2>" not in page
    assert ('method="post"' in without, "Set KALLBACK_KEYS as its service has it" in without) == (False, True)


@pytest.mark.parametrize(
    ("action", "sentence"), [(ChangeAction.RETRY, "has one attempt"), (ChangeAction.FAIL, "KALLBACK_KEYS")]
)
async def test_what_an_awakeable_cannot_do_is_refused(action: ChangeAction, sentence: str) -> None:
    """Whoever sends the form nevertheless."""
    keys = KeySettings(keyring=Keyring({"k1": b"1" * 32})) if action is ChangeAction.RETRY else KeySettings()
    task = replace(approval(), invocation=replace(TASK.invocation, id="inv_1" + "0" * 33))
    broker = results_broker()
    async with MemoryClients(broker).producer() as producer:
        sender = ChangeSender(FakeSources([task]), producer, Settings(keys=keys), FakeReplays(), FakeMany())
        with pytest.raises(KallbackError, match=sentence):
            await sender.make(task, Change(action, 1, Operator("ann"), b"null", Problem()))
    assert broker.records(Settings().topics.results) == []


async def test_no_address_alone_says_that_a_change_was_sent() -> None:
    """A link of somebody else would say so of any task."""
    async with serving(FakeSources([TASK]), changes=FakeChanges()) as client:
        assert (await client.get(f"{ADDRESS}/sent")).status_code == 404
