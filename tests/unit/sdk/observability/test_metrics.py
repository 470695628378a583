"""What a service process exports of its tasks."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import restate
from prometheus_client import CollectorRegistry
from restate.server_context import ServerInvocationContext
from restate.vm import Invocation
from tests.unit.docs.metric_tables import documented, exposed

from kallback.protocol import Attempt, RetryPolicy, TaskId, TaskType
from kallback.sdk import TaskError
from kallback.sdk.observability.counts import OTHER_TYPES, AttemptEnd, SdkCounts, TaskEnd
from kallback.sdk.observability.metrics import SdkCollector
from kallback.testing import HandlerTest
from kallback.workers import TaskFailure

ROOT = Path(__file__).parents[4]
HOUR = timedelta(hours=1)
SOON = RetryPolicy(attempts=2, first_delay=timedelta(seconds=1))
PREPARE = TaskType("prepare", request=str, result=str, timeout=HOUR, retry=SOON)
FIRST = Attempt(1)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


def value(test: HandlerTest, name: str, **labels: str) -> float | None:
    """The value of one sample."""
    registry = CollectorRegistry()
    registry.register(SdkCollector(test.callbacks.counts))
    return registry.get_sample_value(f"kallback_sdk_{name}", {"task_type": "prepare"} | labels)


async def call(test: HandlerTest) -> None:
    """A handler that asks for one task, and swallows its failure."""

    async def handler(ctx: restate.Context) -> None:
        with contextlib.suppress(TaskError):
            await test.callbacks.call(ctx, PREPARE, "soup")

    await test.run(handler)


async def test_a_completed_task_is_counted_with_its_duration(test: HandlerTest) -> None:
    """One attempt sent, one task completed, nothing waits."""
    test.worker.on(PREPARE).answers(str.upper, after=timedelta(minutes=2))
    await call(test)
    assert value(test, "attempts_sent_total") == 1
    assert value(test, "tasks_ended_total", outcome="completed") == 1
    assert value(test, "task_duration_seconds_sum") == pytest.approx(120, abs=1)
    assert value(test, "waiting_tasks") is None


async def test_a_failed_task_is_counted_by_attempts(test: HandlerTest) -> None:
    """Two attempts failed, one task did."""
    test.worker.on(PREPARE).fails(TaskFailure("OvenBroken", status=503))
    await call(test)
    assert value(test, "attempts_sent_total") == 2
    assert value(test, "attempts_ended_total", reason="failed") == 2
    assert value(test, "tasks_ended_total", outcome="failed") == 1


async def test_a_result_that_does_not_fit_is_told_to_the_operator(
    test: HandlerTest, caplog: pytest.LogCaptureFixture
) -> None:
    """Bridge and outcome record know no types: for them it is delivered, and completed."""
    test.worker.on(TaskType("prepare", request=str, result=int)).completes(7)  # another version of the type
    await call(test)
    assert value(test, "tasks_ended_total", outcome="invalid_result") == 1
    assert value(test, "tasks_ended_total", outcome="failed") is None
    [line] = [each for each in caplog.records if "does not fit its type" in each.getMessage()]
    assert line.levelname == "WARNING"


async def test_an_answer_to_an_awakeable_that_does_not_fit_is_told_to_the_operator(
    test: HandlerTest, caplog: pytest.LogCaptureFixture
) -> None:
    """A person's answer is checked by nobody else, unless the gateway has the types."""

    async def handler(ctx: restate.Context) -> None:
        waiting = await test.callbacks.awakeable(ctx, PREPARE)
        test.complete(waiting.token, 7)
        with contextlib.suppress(TaskError):
            await waiting.result()

    await test.run(handler)
    assert "does not fit its type" in caplog.text


async def test_a_task_without_an_answer_is_counted_as_timed_out(test: HandlerTest) -> None:
    """The deadline decides."""
    test.worker.on(PREPARE).never_answers()
    await call(test)
    assert value(test, "tasks_ended_total", outcome="timed_out") == 1


async def test_a_task_is_counted_once_whatever_a_handler_repeats() -> None:
    """A handler that fails after the end of a task comes to that end again."""
    counts = SdkCounts()
    ends = [counts.task_ended("prepare", TaskId("t1"), TaskEnd.COMPLETED, 1.0) for _ in range(3)]
    for _ in range(3):
        counts.attempt_ended("prepare", TaskId("t1"), FIRST, AttemptEnd.FAILED)
    assert ends == [True, False, False]
    assert (counts.tasks_ended["prepare", "completed"], counts.attempts_ended["prepare", "failed"]) == (1, 1)


def test_the_number_of_labels_is_bounded() -> None:
    """Handlers may make up task types."""
    counts = SdkCounts()
    labels = {counts.label(f"type{number}") for number in range(500)}
    assert (len(labels), OTHER_TYPES in labels, counts.label("type0")) == (101, True, "type0")


async def test_what_kafka_refuses_is_counted(test: HandlerTest) -> None:
    """A try that Kafka did not acknowledge, and a task that was not sent."""
    test.broker.available = False
    test.after(timedelta(seconds=90), lambda: setattr(test.broker, "available", True))
    test.worker.on(PREPARE).answers(str.upper)
    await call(test)
    assert (value(test, "send_failures_total") or 0) > 0
    assert value(test, "attempts_sent_total") == 1


async def test_dashboard_and_table_name_what_is_exported(test: HandlerTest) -> None:
    """Neither has a metric that does not exist, nor lacks one."""
    test.worker.on(PREPARE).answers(str.upper)
    await call(test)
    families = SdkCollector(test.callbacks.counts).collect()
    exported = {f"{it.name}_total" if it.type == "counter" else it.name for it in families}
    exported = {f"{name}_info" if name.endswith("build") else name for name in exported}
    page = (ROOT / "docs/observability.md").read_text()
    board = (ROOT / "dashboards/kallback-sdk.json").read_text().replace("_seconds_bucket", "_seconds")
    for text in (page, board):
        assert set(re.findall(r"kallback_sdk_[a-z_]+", text)) == exported


async def test_the_table_says_kinds_and_labels(test: HandlerTest) -> None:
    """A rate of a gauge means nothing."""
    test.worker.on(PREPARE).answers(str.upper)
    await call(test)
    assert documented("observability.md", "kallback_sdk_") == exposed(SdkCollector(test.callbacks.counts).collect())


def test_a_scrape_from_another_thread_meets_tasks_that_begin() -> None:
    """Prometheus' own server scrapes in a thread, while handlers of the event loop start tasks."""
    counts, tasks, ended = SdkCounts(), list[_Waiting](), threading.Event()

    def begin() -> None:
        for _ in range(30_000):
            tasks.append(_Waiting())
            counts.add(tasks[-1])
        ended.set()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threading.Thread(target=begin).start()
        while not ended.is_set():
            counts.waiting()
    finally:
        sys.setswitchinterval(before)
    assert counts.waiting() == {"prepare": 30_000}
    tasks.clear()
    assert counts.waiting() == {}


def test_a_handler_that_was_suspended_waits_for_nothing_here() -> None:
    """Although its task is in memory until Python's next full collection."""
    counts, unused = SdkCounts(), cast("Any", None)
    ctx = ServerInvocationContext(unused, unused, Invocation("inv_1", 0, [], b"", ""), {}, unused, unused)
    task = _Waiting(ctx)
    counts.add(task)
    assert counts.waiting() == {"prepare": 1}
    ctx.request_finished_event.set()
    assert counts.waiting() == {}


class _Waiting:
    """A task that a handler waits for."""

    type_name = "prepare"
    waits = True

    def __init__(self, ctx: restate.Context | None = None) -> None:
        self.ctx = cast("restate.Context", ctx)
