"""All tasks that a filter chooses, failed or cancelled from a page: first a list to confirm, then each by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from tests.unit.cli.console.environment import TOKEN, FakeChanges, FakeSources, pending, serving

from kallback.cli.console.many import ManyChanges
from kallback.kafka import MemoryBroker, MemoryProducer, OutgoingRecord, Position, Producer, Record
from kallback.operations import PendingTask, TaskFilter, TaskPage
from kallback.protocol import KafkaUnavailableError, TaskHeaders
from kallback.settings import Settings

T = TypeVar("T")
FILTERED = "/tasks/all?type=shop.pack"


class Silent(MemoryProducer):
    """Kafka stops to answer after the first result."""

    async def send(self, record: OutgoingRecord) -> Position:
        """Append it, if it is the first one."""
        at = await super().send(record)
        if at.offset:
            raise KafkaUnavailableError("no broker answers")
        return at


@dataclass
class Shop:
    """Tasks whose records are on a broker in memory, and a console that may change them."""

    tasks: list[PendingTask]
    producer: Callable[[MemoryBroker], Producer] = MemoryProducer
    broker: MemoryBroker = field(default_factory=MemoryBroker)

    def __post_init__(self) -> None:
        """Publish the tasks."""
        for topic in ("tasks", "kallback.results", "kallback.control"):
            self.broker.create_topic(topic)
        for task in self.tasks:
            headers = TaskHeaders(TOKEN, task.task_id, task.attempt, task.task_type, "kallback.results")
            self.broker.append(OutgoingRecord("tasks", b"{}", None, headers.encode()))

    async def each(self, wanted: TaskFilter, /) -> AsyncGenerator[TaskPage]:
        """All tasks that are wanted."""
        yield TaskPage([task for task in self.tasks if wanted.accepts(task)], None)

    async def current(self, tasks: Sequence[PendingTask], wanted: TaskFilter, /) -> list[PendingTask]:
        """Those that are still there."""
        return [task for task in self.tasks if task in tasks and wanted.accepts(task)]

    async def find(self, positions: Iterable[Position], keep: Callable[[Record], T], /) -> Mapping[Position, T]:
        """Look records up."""
        records = {each.offset: each for each in self.broker.records("tasks")}
        return {at: keep(records[at.offset]) for at in positions if at.offset in records}

    @property
    def results(self) -> list[tuple[bytes | None, Any]]:
        """The task and the value of each result."""
        return [(each.key, msgspec.json.decode(each.value or b"")) for each in self.broker.records("kallback.results")]

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[httpx.AsyncClient]:
        """A client of the console."""
        many = ManyChanges(self, self.find, self.producer(self.broker), Settings())
        async with serving(FakeSources(self.tasks), changes=FakeChanges(many)) as client:
            client.follow_redirects = True
            yield client


async def fields_of(client: httpx.AsyncClient, address: str = FILTERED) -> dict[str, str]:
    """The hidden fields of the page's first form, and a reason."""
    form = (await client.get(address)).text.partition("<form")[2].partition("</form>")[0]
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)) | {"why": "power cut"}


async def test_the_list_leads_to_a_page_that_says_how_many_and_which() -> None:
    """With the filters of the list; nothing is sent before it is confirmed."""
    shop = Shop([*map(pending, range(12)), pending(12, "shop.bake")])
    async with shop.serving() as client:
        listed = (await client.get("/tasks?type=shop.pack&older_than=1s")).text
        page = (await client.get("/tasks/all?type=shop.pack&older_than=1s")).text

    assert 'href="/tasks/all?type=shop.pack&amp;older_than=1s"' in listed
    assert "Filter: type shop.pack, older than 1s. 12 pending tasks (12 shop.pack)." in page
    assert "The first 10 of 12" in page
    assert page.count('class="id"') == 10
    assert shop.results == []


@pytest.mark.parametrize(
    ("action", "fields", "problem"),
    [
        ("cancel", {}, {"type": "urn:kallback:cancelled-by-hand", "status": 410}),
        ("fail", {"type": "OvenDown", "detail": "no power"}, {"type": "OvenDown", "status": 500, "detail": "no power"}),
        ("fail", {"detail": "closed", "final": "1"}, {"status": 500, "detail": "closed", "retryable": False}),
    ],
)
async def test_all_that_the_page_counted_are_changed(
    action: str, fields: dict[str, str], problem: dict[str, Any]
) -> None:
    """In the operator's name, with the reason; those of other types are left alone."""
    shop = Shop([pending(0), pending(1), pending(2, "shop.bake")])
    async with shop.serving() as client:
        done = await client.post(f"/tasks/all/{action}", data=await fields_of(client) | fields)

    assert f"{'Cancelled' if action == 'cancel' else 'Failed'} 2 of 2 tasks." in done.text
    assert [key for key, _ in shop.results] == [b"task000000000000", b"task000000000001"]
    assert [value | problem for _, value in shop.results] == [value for _, value in shop.results]
    headers = dict(shop.broker.records("kallback.results")[0].headers)
    assert (headers["kallback-by"], headers["kallback-why"]) == (b"console", b"power cut")
    assert len(shop.broker.records("kallback.control")) == (2 if action == "cancel" else 0)


async def test_what_came_or_ended_after_the_list_is_left_alone() -> None:
    """The operator confirmed a number; what has ended is counted, and is no failure."""
    shop = Shop([pending(0), pending(1)])
    async with shop.serving() as client:
        fields = await fields_of(client)
        shop.tasks[:] = [pending(1), pending(2)]
        done = await client.post("/tasks/all/fail", data=fields)

    assert "Failed 1 of 2 tasks; 1 had ended, or the filters did not choose them any more." in done.text
    assert [key for key, _ in shop.results] == [b"task000000000001"]


async def test_a_form_that_is_sent_twice_does_nothing_the_second_time() -> None:
    """A reload, or a second click: a task that is retried would fail twice. The first answer is shown again."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        fields = await fields_of(client)
        answers = [await client.post("/tasks/all/fail", data=fields) for _ in range(2)]
        reloaded = await client.get(answers[0].url)

    assert [answer.history[0].status_code for answer in answers] == [303, 303]
    assert {answer.url.path for answer in answers} == {f"/answers/{fields['plan']}"}
    assert {answer.text for answer in answers} == {reloaded.text}
    assert "Failed 1 of 1 task." in reloaded.text
    assert len(shop.results) == 1


async def test_a_reason_can_be_added() -> None:
    """The form comes back with what was typed, for the same list."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        fields = await fields_of(client) | {"detail": "no power"}
        refused = await client.post("/tasks/all/fail", data=fields | {"why": " "})
        sent = await client.post("/tasks/all/fail", data=fields)

    assert (refused.status_code, sent.status_code) == (400, 200)
    assert "the reason is empty" in refused.text
    assert f'name="plan" value="{fields["plan"]}"' in refused.text
    assert "For 1 task." in refused.text
    assert 'value="no power"' in refused.text


async def test_without_a_filter_all_tasks_must_be_meant() -> None:
    """As with --all on the command line."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        fields = await fields_of(client, "/tasks/all")
        refused = await client.post("/tasks/all/fail", data=fields)
        sent = await client.post("/tasks/all/fail", data=fields | {"all": "1"})

    assert (refused.status_code, sent.status_code) == (400, 200)
    assert 'name="all"' in refused.text
    assert len(shop.results) == 1


async def test_each_that_cannot_be_changed_is_named() -> None:
    """The others are changed nevertheless."""
    shop = Shop([pending(0)])
    shop.tasks.append(pending(7))
    async with shop.serving() as client:
        done = await client.post("/tasks/all/fail", data=await fields_of(client))

    assert "Failed 1 of 2 tasks." in done.text
    assert "Nothing was sent to 1 task" in done.text
    assert "the record of task task000000000007 is not at tasks[0]@7 any more" in done.text


async def test_how_far_it_came_is_said_if_kafka_stops_answering() -> None:
    """A record without an acknowledgement may have arrived."""
    shop = Shop([pending(0), pending(1)], producer=Silent)
    async with shop.serving() as client:
        done = await client.post("/tasks/all/fail", data=await fields_of(client))

    assert "Failed 1 of 2 tasks; 1 more may have arrived" in done.text
    assert "It ended before the last one: no broker answers." in done.text


async def test_lists_that_are_not_used_are_forgotten() -> None:
    """A page is read by anyone who may look; memory stays bounded."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        fields = [await fields_of(client) for _ in range(21)]
        answers = [await client.post("/tasks/all/fail", data=each) for each in (fields[0], fields[-1])]

    assert [answer.status_code for answer in answers] == [409, 200]


@pytest.mark.parametrize("changes", [{"form_secret": "x"}, {"form_secret": ""}])
async def test_a_form_of_another_process_is_refused(changes: dict[str, str]) -> None:
    """As for one task."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        answer = await client.post("/tasks/all/fail", data=await fields_of(client) | changes)
        other = await client.post(
            "/tasks/all/fail", data=await fields_of(client), headers={"origin": "https://evil.example"}
        )
    assert (answer.status_code, other.status_code, shop.results) == (403, 403, [])


@pytest.mark.parametrize("action", ["complete", "retry", "send"])
async def test_many_are_failed_or_cancelled_only(action: str) -> None:
    """One result does not fit many tasks."""
    shop = Shop([pending(0)])
    async with shop.serving() as client:
        answer = await client.post(f"/tasks/all/{action}", data=await fields_of(client))
    assert (answer.status_code, shop.results) == (404, [])


async def test_without_the_switch_there_is_no_such_page() -> None:
    """It is read-only by default."""
    async with serving(FakeSources([pending()])) as client:
        listed = (await client.get("/tasks")).text
        page = await client.get("/tasks/all")
        answer = await client.post("/tasks/all/fail", data={"why": "x"})
    assert ("/tasks/all" in listed, page.status_code, answer.status_code) == (False, 404, 405)


async def test_filters_that_choose_nothing_have_no_form() -> None:
    """There is nothing to confirm."""
    async with Shop([pending(0)]).serving() as client:
        page = (await client.get("/tasks/all?type=shop.bake")).text
    assert ("No pending tasks." in page, "<form" in page) == (True, False)
