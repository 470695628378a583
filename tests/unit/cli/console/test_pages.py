"""What the pages of a console show."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.console.environment import (
    NOW_MS,
    TOKEN,
    FakeChanges,
    FakeSources,
    dead_letter,
    headers_of,
    outcome,
    pending,
    running,
    serving,
)

from kallback.cli.console.processes import ProcessStatus
from kallback.cli.console.sources import LastLetters
from kallback.cli.console.traffic import TrafficSample
from kallback.cli.dead_letters.contents import Replay
from kallback.kafka import DeadLetterId, Position, Record
from kallback.operations import PendingTask, TaskPage, UnreadableJournalsError
from kallback.protocol import (
    AccessDeniedError,
    KafkaUnavailableError,
    KallbackError,
    Keyring,
    MissingTopicError,
    Outcome,
    OutcomeRecord,
    RestateUnavailableError,
    SourcePosition,
)
from kallback.protocol.by_hand import Operator
from kallback.settings import (
    KafkaSecurity,
    KafkaSettings,
    KeySettings,
    RestateSettings,
    Secret,
    SecurityProtocol,
    Settings,
)
from kallback.testing.log_capture import capture_logs

PAGES = [
    "/",
    "/outcomes",
    "/tasks",
    "/tasks/task000000000000",
    "/dead-letters",
    "/dead-letters/0:7",
    "/processes",
    "/settings",
]
MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class Elements(HTMLParser):
    """Collects the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.attributes += attrs


class AskedAtOnce(FakeSources):
    """Sources that fail, each of them when three are asked."""

    def __init__(self) -> None:
        super().__init__(error=KafkaUnavailableError("no Kafka broker answered"))
        self._three = asyncio.Barrier(3)

    async def all_tasks(self) -> AsyncGenerator[TaskPage]:
        """Fail with the others."""
        await self._three.wait()
        async for page in super().all_tasks():
            yield page

    async def task(self, task_id: str) -> PendingTask | None:
        """Fail with the others."""
        await self._three.wait()
        return await super().task(task_id)

    async def letters(self) -> LastLetters:
        """Fail with the others."""
        await self._three.wait()
        return await super().letters()

    async def outcomes(self) -> list[OutcomeRecord]:
        """Fail with the others."""
        await self._three.wait()
        return await super().outcomes()


def record_of(value: bytes) -> Record:
    """The record of the first pending task."""
    return Record("tasks", 0, 0, 0, b"key", value, (*headers_of(pending()), ("x", MARKUP.encode())))


async def test_the_overview_counts_tasks_and_dead_letters() -> None:
    """By type and state, and by reason with its meaning."""
    tasks = [pending(0), pending(1, progress=running()), pending(2, "shop.bill")]
    async with serving(FakeSources(tasks, dead=[dead_letter(), dead_letter()])) as client:
        page = (await client.get("/")).text

    assert "<dt>Pending tasks</dt><dd>3</dd>" in page
    assert '<a href="/tasks?type=shop.pack">shop.pack</a></td><td class="number">1</td>' in page
    assert "the caller no longer waits" in page
    assert '<a href="/tasks/task000000000002">1 min (shop.bill)</a>' in page


async def test_handlers_that_have_not_gone_on_are_counted() -> None:
    """Their tasks are pending no more; two results of one handler are one handler."""
    sources = FakeSources([pending(number) for number in range(3)], untaken=(pending(7), pending(7)))
    async with serving(sources) as client:
        assert "<dt>Handlers with a result that have not gone on</dt><dd>1</dd>" in (await client.get("/")).text
        assert "1 handler has a result and has not gone on yet" in (await client.get("/tasks")).text


async def test_overview_and_dead_letters_are_read_once_for_all_browsers() -> None:
    """Within the time that they are fresh, however many look."""
    sources = FakeSources([pending()], dead=[dead_letter()])
    async with serving(sources) as client:
        for _ in range(10):
            await client.get("/")
            await client.get("/dead-letters")
    assert (sources.reads, sources.letter_reads) == (1, 1)


async def test_an_overview_ends_at_its_bound() -> None:
    """And says that there are more."""
    async with serving(FakeSources([pending(number) for number in range(30)]), max_tasks=10) as client:
        page = (await client.get("/")).text
    assert "more than 10" in page


async def test_a_list_goes_on_with_the_same_filter() -> None:
    """The next page's address has it."""
    tasks = [pending(number) for number in range(60)] + [pending(99, "shop.bill")]
    async with serving(FakeSources(tasks)) as client:
        first = (await client.get("/tasks?type=shop.pack&state=sent")).text
        second = (await client.get("/tasks?type=shop.pack&state=sent&cursor=50")).text

    assert first.count('<a href="/tasks/task') == 50
    assert 'href="/tasks?type=shop.pack&amp;state=sent&amp;cursor=50"' in first
    assert (second.count('<a href="/tasks/task'), "Next page" in second) == (10, False)


async def test_a_long_key_is_cut_short() -> None:
    """The key of a virtual object may have any length."""
    task = pending()
    long = replace(task, invocation=replace(task.invocation, target=f"Carts/{'k' * 100_000}/pay"))
    async with serving(FakeSources([long])) as client:
        for path in ("/tasks", f"/tasks/{task.task_id}"):
            page = (await client.get(path)).text
            assert len(page) < 10_000
            assert "kkk/pay" in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("older_than=90s", 1),
        ("older_than=30s", 2),
        ("deadline_within=30s", 1),
        ("deadline_within=2h&older_than=1h", 0),
    ],
)
async def test_tasks_are_filtered_by_age_and_deadline(query: str, found: int) -> None:
    """As on the command line."""
    tasks = [pending(0), replace(pending(1), created_ms=NOW_MS - 100_000, deadline_ms=NOW_MS + 20_000)]
    async with serving(FakeSources(tasks)) as client:
        page = (await client.get(f"/tasks?{query}")).text
    assert page.count('<a href="/tasks/task') == found


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/tasks?cursor=x", "cursor is not one of a page of pending tasks: begin without one"),
        ("/tasks?older_than=soon", "Older than is not a duration: write 30s, 15m, 2h or 3d."),
        ("/tasks?deadline_within=1", "Deadline within is not a duration"),
        ("/tasks?state=asleep", "State is sent or not-started or running or backing-off or unanswered."),
        ("/outcomes?outcome=good", "Outcome is delivered or"),
        ("/outcomes?by_hand=no", "By hand is 1."),
        ("/tasks?" + "&".join(f"a{number}=1" for number in range(30)), "There are more than 20 filters."),
    ],
)
async def test_what_an_address_asks_for_is_understood_or_refused(address: str, sentence: str) -> None:
    """Neither a failure of the server, nor a list of everything."""
    async with serving(FakeSources([pending()], results=[outcome()])) as client:
        page = await client.get(address)
    assert (page.status_code, sentence in page.text, "<table" in page.text) == (400, True, False)


@pytest.mark.parametrize(
    ("others", "title"),
    [
        ({"did": "completed"}, "Task completed"),
        ({"did": "failed", "failure": "OutOfStock"}, "Task failed"),
        ({"did": "cancelled", "by": "ann"}, "Task cancelled"),
        ({"did": "handed-back"}, "No pending task"),
        ({}, "No pending task"),
    ],
)
async def test_a_task_that_ended_says_how(others: dict[str, Any], title: str) -> None:
    """As far as the last outcomes tell."""
    async with serving(FakeSources(results=[outcome(**others)])) as client:
        page = (await client.get("/tasks/task000000000000")).text
    assert f"<h1>{title}</h1>" in page
    assert ("No handler waits for it any more" in page) is title.startswith("Task")
    assert others.get("failure", "") in page


async def test_a_task_is_shown_with_its_request_and_its_life() -> None:
    """Times, heartbeats, record, and a link to the invocation in Restate's own pages."""
    task = pending(progress=running(b'{"percent":40}'))
    settings = Settings(restate=RestateSettings(admin_url="http://user:hush@restate:9070/"))
    async with serving(FakeSources([task], {task.position: record_of(b'{"dish":"soup"}')}), settings) as client:
        page = (await client.get(f"/tasks?id={task.task_id}")).text

    for shown in (
        "running",
        "50 s ago",
        "40 s ago",
        "5 s ago",
        "30 s ago",
        "in 1 min",
        "{&quot;percent&quot;:40}",
        "Shop/order",
    ):
        assert shown in page
    assert "{&quot;dish&quot;:&quot;soup&quot;}" in page
    assert 'href="http://restate:9070/ui/invocations/inv_0"' in page
    assert "hush" not in page


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "retention removed it"),
        (Record("tasks", 0, 0, 0, b"key", MARKUP.encode(), headers_of(pending(1))), "another record than that of task"),
        (Record("tasks", 0, 0, 0, b"key", MARKUP.encode(), ()), "cannot be read"),
        (MissingTopicError("topic 'tasks' does not exist"), "topic &#x27;tasks&#x27; does not exist"),
        (AccessDeniedError("reading tasks (READ) failed"), "reading tasks (READ) failed"),
    ],
)
async def test_a_record_that_is_not_there_is_said(found: Record | KallbackError | None, said: str) -> None:
    """The task is shown all the same, with its forms, and never with the request of another task."""
    task = pending()
    sources = FakeSources([task], {} if found is None else {task.position: found})
    async with serving(sources, changes=FakeChanges()) as client:
        page = await client.get("/tasks/task000000000000")
    assert (page.status_code, said in page.text) == (200, True)
    assert ("Shop/order" in page.text, "/tasks/task000000000000/fail" in page.text) == (True, True)
    assert "alert" not in page.text


async def test_the_result_is_not_that_of_another_topic_of_the_same_name() -> None:
    """A results topic that was created anew has other records at the same places."""
    source = SourcePosition("kallback.results", 1, 5, NOW_MS - 1040)
    records = {Position("kallback.results", 1, 5): record_of(b'{"shelf":1}')}
    async with serving(FakeSources([pending()], records, results=[outcome(source=source)])) as client:
        page = (await client.get("/tasks/task000000000000")).text
    assert ("delivered" in page, "shelf" in page) == (True, False)


@pytest.mark.parametrize("address", ["/", "/dead-letters", "/dead-letters/0:7"])
async def test_a_dead_letter_of_great_length_does_not_fill_a_page(address: str) -> None:
    """Every worker may write dead letters: reason, detail and group are shown with their beginning and their end."""
    letter = dead_letter("r" * 50_000, detail="d" * 50_000, group="g" * 50_000)
    async with serving(FakeSources(dead=[letter])) as client:
        page = (await client.get(address)).text
    assert "r" * 70 in page
    assert len(page) < 20_000


async def test_a_dead_letter_is_shown_with_its_meaning_and_the_remedy() -> None:
    """The list leads to it."""
    async with serving(FakeSources(dead=[dead_letter("unknown-key")])) as client:
        listed, shown = (await client.get("/dead-letters")).text, (await client.get("/dead-letters/0:7")).text

    assert '<a href="/dead-letters/0:7">0:7</a>' in listed
    assert "shop.pack" in listed
    assert "Add the key to the bridges" in shown
    assert "kallback.results[1]@5" in shown


async def test_a_replayed_dead_letter_says_so() -> None:
    """In the lists and on its page, with who and why; where it is not known, the page says where to look."""
    letters = [dead_letter(headers=(("kallback-task-id", b"task000000000000"),)), dead_letter(id=DeadLetterId(0, 8))]
    replays = {DeadLetterId(0, 7): Replay(NOW_MS, Operator("ann", "the <key> is back"))}
    async with serving(FakeSources([pending()], dead=letters, replays=replays)) as client:
        paths = ("/dead-letters", "/tasks/task000000000000", "/dead-letters/0:7", "/dead-letters/0:8")
        listed, task, first, second = [(await client.get(path)).text for path in paths]

    assert [page.count("2027-01-15 08:00:00Z by ann<") for page in (listed, task)] == [1, 1]
    assert "2027-01-15 08:00:00Z by ann: the &lt;key&gt; is back" in first
    seen = "not seen among the last 200 records of each partition; <code>kallback dead-letters show 0:8</code>"
    assert seen in second


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_no_markdown(path: str) -> None:
    """A command is shown as one, without the marks that documentation has."""
    awakeable = replace(pending(), position=None, signal=17)
    for task in (pending(progress=running(b"{}")), awakeable):
        sources = FakeSources([task], {task.position: record_of(b"{}")} if task.position else {}, [dead_letter()])
        async with serving(sources) as client:
            assert "`" not in (await client.get(path)).text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("it has ended: `kallback outcomes list`", "it has ended: <code>kallback outcomes list</code>"),
        ("no topic `<i>", "no topic `&lt;i&gt;"),
        ("`<i>` is gone", "<code>&lt;i&gt;</code> is gone"),
    ],
)
async def test_a_command_in_an_error_is_shown_as_one(said: str, shown: str) -> None:
    """As those that pages have themselves; all text stays text."""
    sources = FakeSources([pending()], error=UnreadableJournalsError(said))
    async with serving(sources) as client:
        assert shown in (await client.get("/tasks/lost00000000000x")).text


@pytest.mark.parametrize(
    "value", [MARKUP.encode(), b"\x00\x1b[2J\xff", MARKUP.encode() * 20_000, b'{"t":"' + TOKEN.encode() + b'"}']
)
async def test_a_hostile_payload_does_no_harm(value: bytes) -> None:
    """Markup, control characters, a megabyte, a whole token: all is text, and the page stays small."""
    task = pending(progress=running(value[:1000]))
    sources = FakeSources([task], {task.position: record_of(value)}, [dead_letter(MARKUP, value, detail=MARKUP)])
    async with serving(sources) as client:
        pages = [
            (await client.get(path)).text
            for path in ("/", f"/tasks/{task.task_id}", "/dead-letters", "/dead-letters/0:7")
        ]

    for page in pages:
        elements = Elements(page)
        assert elements.tags.count("script") == 1
        assert "img" not in elements.tags
        assert not any(name.startswith("on") for name, _ in elements.attributes)
        assert all(char.isprintable() or char in "\n\t" for char in page)
        assert TOKEN[-22:] not in page
        assert TOKEN.split(":")[5] not in page
        assert len(page) < 300_000


async def test_payloads_can_be_hidden() -> None:
    """Requests, details and dead letters; the rest is there."""
    task = pending(progress=running(b'{"secret":1}'))
    sources = FakeSources([task], {task.position: record_of(b'{"secret":2}')}, [dead_letter(value=b'{"secret":3}')])
    async with serving(sources, mask_payloads=True) as client:
        pages = [(await client.get(path)).text for path in (f"/tasks/{task.task_id}", "/dead-letters/0:7")]
    assert [("secret" in page, "hidden (--mask-payloads)" in page) for page in pages] == [(False, True), (False, True)]


@pytest.mark.parametrize("name", ["kallback-last-details", "kafka_exception-message", "customer"])
async def test_headers_with_parts_of_payloads_are_hidden_with_them(name: str) -> None:
    """The next attempt gets the details of the last heartbeat in a header; those of others may hold anything."""
    task = pending()
    headers = (*headers_of(task), (name, b'"secret"'), ("content-type", b"application/json"))
    record = Record("tasks", 0, 0, 0, b"key", b"{}", headers)
    sources = FakeSources([task], {task.position: record}, [dead_letter(headers=headers)])
    async with serving(sources, mask_payloads=True) as client:
        pages = [(await client.get(path)).text for path in (f"/tasks/{task.task_id}", "/dead-letters/0:7")]
    for page in pages:
        assert "secret" not in page
        assert name in page
        assert "kallback-attempt" in page


async def test_processes_are_shown_with_what_they_say() -> None:
    """Whether each is ready, and why not."""
    statuses = [
        ProcessStatus("http://me:hush@bridge:9464", "running", ready=True, members={"lag": "7", "in_flight": "2"}),
        ProcessStatus("http://worker:9465", reasons=("it does not answer <here>",)),
    ]
    async with serving(FakeSources(statuses=statuses)) as client:
        page = (await client.get("/processes")).text

    assert "hush" not in page
    for shown in ("lag 7, in_flight 2", "<strong>not ready</strong>", "it does not answer &lt;here&gt;"):
        assert shown in page


async def test_settings_are_shown_without_secrets() -> None:
    """Passwords, keys, extra options and users in addresses."""
    security = KafkaSecurity(protocol=SecurityProtocol.SASL_SSL, username="me", password=Secret("hush1"))
    settings = Settings(
        kafka=KafkaSettings(security=security, extra={"ssl.key.password": "hush2"}),
        restate=RestateSettings(ingress_url="http://me:hush3@restate:8080", auth_token=Secret("hush4")),
        keys=KeySettings(Keyring({"k1": b"hush5" * 10})),
    )
    async with serving(FakeSources(), settings) as client:
        page = (await client.get("/settings")).text

    assert "hush" not in page
    for shown in ("http://***@restate:8080", "keys k1 (hidden)", "ssl.key.password", "set (hidden)", "localhost:9092"):
        assert shown in page


@pytest.mark.parametrize("path", ["/tasks", "/tasks/task000000000000", "/dead-letters"])
async def test_a_server_that_does_not_answer_is_a_page(path: str) -> None:
    """With the sentence of the error."""
    async with serving(FakeSources(error=RestateUnavailableError("no answer from <Restate>"))) as client:
        page = await client.get(path)
    assert (page.status_code, "no answer from &lt;Restate&gt;" in page.text) == (503, True)


async def test_the_overview_says_what_it_could_not_read() -> None:
    """And shows the rest; one sentence is said once, however many parts of the page it concerns."""
    async with serving(FakeSources(error=RestateUnavailableError("no answer"))) as client:
        page = await client.get("/")
    assert (page.status_code, page.text.count('<p class="error" role="status">no answer</p>')) == (200, 1)


async def test_servers_that_do_not_answer_are_waited_for_at_the_same_time() -> None:
    """A page takes as long as the slowest of them, not as all together."""
    async with serving(AskedAtOnce()) as console, asyncio.timeout(30):
        assert "no Kafka broker answered" in (await console.get("/")).text
        assert "no Kafka broker answered" in (await console.get("/tasks/t1")).text


async def test_the_last_outcomes_are_listed() -> None:
    """Those of one task, or those by hand, with who sent them and why."""
    by_hand = outcome(task_id="task000000000001", by="ann", did="failed", why="the <oven> broke")
    async with serving(FakeSources(results=[by_hand, outcome(), outcome(Outcome.LATE, reason="late")])) as client:
        everything = (await client.get("/outcomes")).text
        late = (await client.get("/outcomes?outcome=late")).text
        answered = (await client.get("/outcomes?by_hand=1&id=task000000000001&type=shop.pack")).text

    assert [page.count("<tr><td>") for page in (everything, late, answered)] == [3, 1, 1]
    for shown in ("failed by ann", "the &lt;oven&gt; broke", "task000000000001"):
        assert shown in answered


@pytest.mark.parametrize("tasks", [[], [pending()]])
async def test_a_task_has_its_outcomes_and_dead_letters(tasks: list[PendingTask]) -> None:
    """While it waits, and when it has ended; those of other tasks are not shown."""
    own = (("kallback-task-id", b"task000000000000"),)
    letters = [dead_letter(headers=own), dead_letter("not-json", headers=())]
    results = [outcome(by="ann"), outcome(task_id="task000000000001", by="eve")]
    async with serving(FakeSources(tasks, dead=letters, results=results)) as client:
        page = await client.get("/tasks/task000000000000")

    assert page.status_code == (200 if tasks else 404)
    assert ("ann" in page.text, "eve" in page.text) == (True, False)
    assert (">late<" in page.text, "not-json" in page.text) == (True, False)


@pytest.mark.parametrize("tasks", [[], [pending()]])
@pytest.mark.parametrize(("mask", "shown"), [(False, "{&quot;shelf&quot;:1}"), (True, "hidden (--mask-payloads)")])
async def test_a_task_has_its_result(tasks: list[PendingTask], mask: bool, shown: str) -> None:  # noqa: FBT001 - a table
    """Of the last attempt, the first that was delivered: copies of it changed nothing."""
    places = {at: Position("kallback.results", 1, at) for at in range(4)}
    records = {at: record_of(b'{"shelf":%d}' % number) for number, at in enumerate(places.values())}
    kinds = {0: (1, 1), 1: (2, 5), 2: (2, 9), 3: (2, 1)}
    results = [
        outcome(
            Outcome.LATE if number == 3 else Outcome.DELIVERED,
            source=SourcePosition("kallback.results", 1, number, 0),
            attempt=attempt,
            at_ms=at_ms,
        )
        for number, (attempt, at_ms) in kinds.items()
    ]
    async with serving(FakeSources(tasks, records, results=results), mask_payloads=mask) as client:
        page = (await client.get("/tasks/task000000000000")).text

    assert "<h2>Result</h2>" in page
    assert (shown in page, page.count("&quot;shelf&quot;")) == (True, 0 if mask else 1)
    assert TOKEN not in page


async def test_an_outcome_that_names_another_topic_shows_no_record() -> None:
    """Who may write outcomes must not read topics through the console."""
    source = SourcePosition("secrets", 0, 0, 0)
    records = {Position("secrets", 0, 0): record_of(b'{"pin":1}')}
    async with serving(FakeSources(records=records, results=[outcome(source=source)])) as client:
        page = (await client.get("/tasks/task000000000000")).text
    assert ("delivered" in page, "pin" in page) == (True, False)


async def test_without_outcomes_the_page_says_who_writes_them() -> None:
    """Bridges do so only with an option."""
    async with serving(FakeSources()) as client:
        assert "--outcomes" in (await client.get("/outcomes")).text


async def test_the_overview_has_outcomes_latency_and_charts() -> None:
    """Each chart says its figures in words, too."""
    samples = [TrafficSample(NOW_MS - 30_000, 100, 0, 7), TrafficSample(NOW_MS - 15_000, 130, 0, 12)]
    async with serving(FakeSources(results=[outcome(), outcome(Outcome.LATE)]), samples=samples) as client:
        page = (await client.get("/")).text

    assert "40 ms median" in page
    assert '<th scope="col" class="number">of these failed</th><th scope="col" class="number">late</th>' in page
    assert 'aria-label="Results per second in the last hour: 2 now, 2 at most"' in page
    assert 'aria-label="Bridge lag, results in the last hour: 12 now, 12 at most"' in page
    assert "style=" not in page


@pytest.mark.parametrize(
    ("ages_s", "shown"),
    [
        ([1, 3599, 3601, 9000], "<caption>Outcomes of the last hour</caption>"),
        ([1] * 199 + [90] + [9000], "<caption>The last 200 outcomes, of 1 min 30 s</caption>"),
        ([9000], "<p>Outcomes of the last hour: none.</p>"),
    ],
)
async def test_the_overview_counts_outcomes_of_the_last_hour(ages_s: list[int], shown: str) -> None:
    """If there were more than the console reads, it says of which time those are that it counts."""
    results = [outcome(at_ms=NOW_MS - age * 1000) for age in ages_s]
    async with serving(FakeSources(results=results[:200])) as client:
        page = (await client.get("/")).text
    recent = sum(age < 3600 for age in ages_s)
    assert shown in page
    assert (f'shop.pack</td><td class="number">{recent}</td>' in page) == (recent > 0)


async def test_outcomes_tell_failures_from_successes() -> None:
    """Of a type in the overview, and one by one; only failures, if they are wanted."""
    failed = outcome(did="failed", task_id="task000000000001")
    async with serving(FakeSources(results=[outcome(did="completed"), failed])) as client:
        overview = (await client.get("/")).text
        wanted = (await client.get("/outcomes?result=failed")).text
        refused = await client.get("/outcomes?result=burnt")
    assert 'shop.pack</td><td class="number">2</td><td class="number">1</td>' in overview
    assert (wanted.count("<tr><td>"), "task000000000001" in wanted) == (1, True)
    assert refused.status_code == 400


@pytest.mark.parametrize(("path", "headers"), [("/nothing", {}), ("/", {"host": "evil.example"})])
async def test_a_refusal_is_a_page(path: str, headers: dict[str, str]) -> None:
    """A browser shows a sentence, and no JSON."""
    async with serving(FakeSources()) as client:
        answer = await client.get(path, headers=headers)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<p class="error" role="status">T' in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/tasks/a/b", "/static/../handler.py", "/dead-letters/x", "/static/x.js"])
async def test_there_is_nothing_else(path: str) -> None:
    """No file of the package either."""
    async with serving(FakeSources()) as client:
        assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize("path", ["/tasks/task000000000009", "/dead-letters/0:9"])
async def test_what_is_not_there_is_a_page(path: str) -> None:
    """A task may have ended since the list was read."""
    async with serving(FakeSources()) as client:
        page = await client.get(path)
    assert (page.status_code, '<p class="error"' in page.text) == (404, True)


async def test_a_task_whose_handler_has_not_gone_on_has_not_ended() -> None:
    """Its result came and waits for the handler, whose service may be down: the page says so, with its invocation."""
    results = [outcome(by="ann")]
    async with serving(FakeSources(untaken=(pending(),), results=results)) as client:
        page = await client.get("/tasks/task000000000000")
        other = await client.get("/tasks/task000000000001")

    assert (page.status_code, other.status_code) == (200, 404)
    for shown in (
        "Its result came, and its handler has not gone on yet",
        "kallback doctor",
        "inv_0",
        "shop.pack",
        "ann",
    ):
        assert shown in page.text
    assert "has ended" not in page.text
    assert "Task task000000000001 has ended, and so has its handler shop/&lt;order&gt;" in other.text


async def test_encoded_journals_of_others_hide_no_end_of_a_task() -> None:
    """The task cannot be in one of them: its handler has ended. Of another task nothing can be said."""
    error = UnreadableJournalsError("no journal that can be read has the task; it may be in one of 1 other")
    async with serving(FakeSources(error=error)) as client:
        ended = await client.get("/tasks/task000000000001")
        unknown = await client.get("/tasks/lost000000000001")
    assert "has ended, and so has its handler shop/&lt;order&gt;" in ended.text
    assert "This page cannot be read" in unknown.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_it_is_read_only(method: str) -> None:
    """Any method that could change something is refused."""
    async with serving(FakeSources()) as client:
        assert (await client.request(method, "/tasks")).status_code == 405


async def test_a_method_that_changes_nothing_is_told_what_does() -> None:
    """The console that allows changes does not say that it is read-only."""
    async with serving(FakeSources(), changes=FakeChanges()) as client:
        refused = await client.request("PUT", "/tasks")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, POST")
    assert "read-only" not in refused.text


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:8091", 200), ("ops.example.com", 200), ("evil.example", 421)],
)
async def test_only_known_hosts_are_answered(host: str, status: int) -> None:
    """A page of another site cannot read the console by a name that it controls."""
    async with serving(FakeSources(), hosts=frozenset({"ops.example.com"})) as client:
        assert (await client.get("/", headers={"host": host})).status_code == status


async def test_a_password_is_asked_for() -> None:
    """By the browser's own dialogue, with any user; programs may send it as a bearer token."""
    async with serving(FakeSources(), password=Secret("open sesame")) as client:
        without = await client.get("/")
        wrong = await client.get("/", auth=("me", "close sesame"))
        right = await client.get("/", auth=("me", "open sesame"))
        bearer = await client.get("/", headers={"authorization": "Bearer open sesame"})
        broken = await client.get("/", headers={"authorization": "Basic " + base64.b64encode(b"x").decode()[:-1]})

    statuses = [each.status_code for each in (without, wrong, right, bearer, broken)]
    assert statuses == [401, 401, 200, 200, 401]
    assert without.headers["www-authenticate"].startswith("Basic ")


async def test_the_log_says_that_a_password_was_wrong() -> None:
    """Someone who guesses leaves a trace, which has no password; a browser that asks first leaves none."""
    with capture_logs("kallback.console") as lines:
        async with serving(FakeSources(), password=Secret("open sesame")) as client:
            await client.get("/")
            without = list(lines)
            await client.get("/", auth=("me", "close sesame"))
            await client.get("/", auth=("me", "close sesame 2"))

    assert without == []
    assert [(line["event"], line["client"]) for line in lines] == [("a login is refused", "127.0.0.1")]
    assert "close sesame" not in str(lines)


@pytest.mark.parametrize("values", [[b"Basic \xe9"], [b"Bearer open s", b"esame"], [b"Basic"], [b""]])
async def test_what_is_no_login_asks_for_the_password(values: list[bytes]) -> None:
    """It is no failure of the console, and two headers are not one."""
    async with serving(FakeSources(), password=Secret("open sesame")) as client:
        answer = await client.get("/", headers=[(b"authorization", value) for value in values])

    assert answer.status_code == 401


@pytest.mark.parametrize("path", [*PAGES, "/static/console.js", "/static/console.css"])
async def test_a_page_can_load_nothing_from_elsewhere(path: str) -> None:
    """The policy says so to the browser, and no page names another address."""
    async with serving(FakeSources([pending()], dead=[dead_letter()])) as client:
        answer = await client.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'src="http' not in answer.text


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_can_be_read_by_a_screen_reader(path: str) -> None:
    """It has a language, a title, one heading of the first level, and landmarks."""
    async with serving(FakeSources([pending()], dead=[dead_letter()])) as client:
        elements = Elements((await client.get(path)).text)

    assert ("lang", "en") in elements.attributes
    assert [elements.tags.count(tag) for tag in ("title", "h1", "main", "nav")] == [1, 1, 1, 1]


def test_style_and_script_are_a_part_of_the_package() -> None:
    """They are read from there, and nothing else is."""
    static = Path(__file__).parents[4] / "src" / "kallback" / "cli" / "console" / "static"
    assert {path.name for path in static.iterdir()} == {"console.css", "console.js"}


async def test_failed_results_are_counted_beside_the_delivered_ones() -> None:
    """They are a part of these, and not of what is in the columns behind."""
    results = [outcome(did="completed"), outcome(did="failed"), outcome(Outcome.UNVERIFIED)]
    async with serving(FakeSources(results=results)) as client:
        page = (await client.get("/")).text
    table = page[page.index("Outcomes of the last hour") :].partition("</table>")[0]
    assert re.findall(r"<th [^>]*>([^<]*)", table) == ["Type", "delivered", "of these failed", "unverified"]
    assert re.findall(r"<td[^>]*>([^<]*)", table) == ["shop.pack", "2", "1", "1"]
