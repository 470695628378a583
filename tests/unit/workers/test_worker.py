"""The way of a task through a worker: run, publish, acknowledge."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.workers.execution.misbehaviour import PanicError, PanickingError

from kallback.kafka import DeadLetters, OutgoingRecord, Position, Record
from kallback.protocol import ConfigurationError, KafkaUnavailableError, MissingTopicError, TaskType
from kallback.workers import TaskContext, TaskFailure
from kallback.workers.attempts.decide import AttemptKey
from kallback.workers.attempts.table import AttemptTable

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


async def test_a_task_becomes_a_result_and_its_offset_is_done(env: WorkerEnv) -> None:
    """The typed value goes to the reply topic with the token, then the offset is committed."""
    worker = env.worker()
    env.cook(worker)
    env.send()

    async with worker:
        await env.settled(1)

    (result,) = env.results()
    assert (result.token, result.status, result.value) == ("kb1:t1", "completed", {"dish": "soup"})
    assert worker.counts.completed == 1


async def test_the_result_is_keyed_by_the_task_id(env: WorkerEnv) -> None:
    """Results of one task stay in one partition."""
    worker = env.worker()
    env.cook(worker)
    env.send("t7")

    async with worker:
        await env.until(env.results, "the result")

    assert env.broker.records(env.topics.results)[0].key == b"t7"


async def test_the_result_goes_where_the_task_says(env: WorkerEnv) -> None:
    """The reply topic is the task's, if the worker may answer to it."""
    worker = env.worker(reply_topics=frozenset({"elsewhere"}))
    env.cook(worker)
    env.send(reply_to="elsewhere")

    async with worker:
        await env.until(lambda: env.results("elsewhere"), "the result elsewhere")

    assert not env.results()


async def test_a_plain_function_runs_in_a_thread(env: WorkerEnv) -> None:
    """A function without `async` does not run on the loop's thread."""
    worker = env.worker()
    threads: list[threading.Thread] = []

    @worker.task(env.prepare)
    def cook(order: Any) -> Any:
        threads.append(threading.current_thread())
        return env.prepared_type(order.dish)

    env.send()
    async with worker:
        await env.until(env.results, "the result")

    assert threads != [threading.main_thread()]
    assert env.results()[0].status == "completed"


async def test_a_blocking_function_does_not_stop_others(env: WorkerEnv) -> None:
    """While one thread blocks, other tasks are fetched and done."""
    worker = env.worker()
    others_done = threading.Event()

    @worker.task(env.prepare)
    def cook(order: Any, task: TaskContext) -> Any:
        if task.task_id == "slow":
            assert others_done.wait(5)
        return env.prepared_type(order.dish)

    env.send("slow")
    env.send("quick")
    async with worker:
        await env.until(env.results, "the result of the quick one")
        assert env.results()[0].token == "kb1:quick"
        others_done.set()
        await env.settled(2)


async def test_the_context_says_what_the_headers_say(env: WorkerEnv) -> None:
    """Ids, deadline and trace context reach the function."""
    worker = env.worker()
    seen: list[TaskContext] = []

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        seen.append(task)
        return env.prepared_type(order.dish)

    env.send("t9", attempt=3, deadline_ms=int(env.now * 1000) + 60_000, traceparent="00-aa-bb-01")
    async with worker:
        await env.until(env.results, "the result")

    (task,) = seen
    assert (task.task_id, task.attempt, task.task_type) == ("t9", 3, "prepare")
    assert task.time_left() == 60.0
    assert task.traceparent == "00-aa-bb-01"


async def test_results_stay_in_the_trace_of_their_task(env: WorkerEnv) -> None:
    """Trace headers are echoed by completed and failed results, and not made up."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        if task.task_id == "bad":
            raise TaskFailure("OutOfStock", "no basil")
        return env.prepared_type(order.dish)

    env.send("good", traceparent="00-aa-bb-01", tracestate="a=1")
    env.send("bad", traceparent="00-aa-cc-01")
    env.send("untraced")
    async with worker:
        await env.until(lambda: len(env.results()) == 3, "three results")

    traces = {
        (it.key or b"").decode(): {name: value for name, value in it.headers if name.startswith("trace")}
        for it in env.broker.records(env.topics.results)
    }
    assert traces == {
        "good": {"traceparent": b"00-aa-bb-01", "tracestate": b"a=1"},
        "bad": {"traceparent": b"00-aa-cc-01"},
        "untraced": {},
    }


async def test_a_task_failure_travels_as_it_is(env: WorkerEnv) -> None:
    """Every member of a `TaskFailure` reaches the caller."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        raise TaskFailure(
            "OutOfStock", f"no {order.dish}", status=422, retryable=True, retry_after=1.5, shelf={"row": 4}
        )

    env.send()
    async with worker:
        await env.settled(1)

    (result,) = env.results()
    assert result.status == "failed"
    assert result.value == {
        "type": "OutOfStock",
        "status": 422,
        "detail": "no soup",
        "retryable": True,
        "retry_after": 1.5,
        "shelf": {"row": 4},
    }


async def test_an_exception_shows_class_and_message_only(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets one line; the traceback is for the log."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        raise KeyError(order.dish)

    env.send()
    async with worker:
        await env.settled(1)

    (result,) = env.results()
    assert result.value == {
        "type": "urn:kallback:unexpected-error",
        "status": 500,
        "detail": "KeyError: 'soup'",
        "exception": ["KeyError", "LookupError"],
    }
    assert "Traceback" in caplog.text


async def test_a_traceback_is_shown_if_asked_for(env: WorkerEnv) -> None:
    """`expose_tracebacks` puts it into the failed result."""
    worker = env.worker(expose_tracebacks=True)

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        raise KeyError(order.dish)

    env.send()
    async with worker:
        await env.until(env.results, "the failed result")

    assert "in cook" in env.results()[0].value["traceback"]


async def test_a_value_of_another_type_is_a_failed_result_with_a_remedy(env: WorkerEnv) -> None:
    """What does not fit the declared result type is never published as a result."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        return "soup"

    env.send()
    async with worker:
        await env.settled(1)

    (result,) = env.results()
    assert result.value["type"] == "urn:kallback:unusable-result"
    assert "expected Prepared, got str" in result.value["detail"]


@pytest.mark.parametrize("in_loop", [True, False])
async def test_sys_exit_fails_the_task_and_not_the_worker(
    env: WorkerEnv, caplog: pytest.LogCaptureFixture, *, in_loop: bool
) -> None:
    """A function that wants to end the process would end every worker that gets the task; the log says where."""
    worker = env.worker()

    async def cook(_order: Any) -> Any:
        raise SystemExit(3)

    def cook_in_thread(_order: Any) -> Any:
        raise SystemExit(3)

    worker.task(env.prepare)(cook if in_loop else cook_in_thread)
    env.send()
    async with worker:
        await env.settled(1)

    assert env.results()[0].value["detail"] == "SystemExit: 3"
    assert "raise SystemExit(3)" in caplog.text


async def test_a_function_that_cancels_itself_fails(env: WorkerEnv) -> None:
    """A `CancelledError` that the caller did not ask for is an unexpected error."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        raise asyncio.CancelledError

    env.send()
    async with worker:
        await env.settled(1)

    assert env.results()[0].value["type"] == "urn:kallback:unexpected-error"


async def test_an_undecodable_task_fails_and_is_dead(env: WorkerEnv) -> None:
    """The caller learns it at once, people find the record whole."""
    worker = env.worker()
    env.cook(worker)
    env.send(value=b"{broken")

    async with worker:
        await env.settled(1)

    assert env.results()[0].value["type"] == "urn:kallback:undecodable-task"
    assert env.dead() == ["undecodable-task"]
    assert env.broker.records(env.topics.dead_letters)[0].value == b"{broken"


@pytest.mark.parametrize("error", [PanicError("entropy"), asyncio.CancelledError("entropy"), PanickingError()])
async def test_a_type_whose_own_check_panics_fails_its_task_alone(env: WorkerEnv, error: BaseException) -> None:
    """Also where a result is read back: such a record neither ends the worker nor stays without an answer."""

    @dataclass
    class Picky:
        size: int

        def __post_init__(self) -> None:
            if self.size == 1:
                raise error

    picky = TaskType("prepare", request=Picky, result=Picky, topic="orders")
    worker = env.worker()

    @worker.task(picky)
    async def grow(asked: Picky) -> Picky:
        found = Picky(5)
        found.size = asked.size - 1
        return found

    for number, size in enumerate((1, 2, 3)):
        env.send(f"t{number}", b'{"size":%d}' % size)
    async with worker:
        await env.settled(3)

    found = {seen.token: seen.value.get("type", seen.value) for seen in env.results()}
    assert found == {
        "kb1:t0": "urn:kallback:undecodable-task",
        "kb1:t1": "urn:kallback:unusable-result",
        "kb1:t2": {"size": 2},
    }
    assert env.dead() == ["undecodable-task"]


async def test_poison_does_not_stop_the_good(env: WorkerEnv) -> None:
    """Whatever lies between good tasks, the good ones are done and every offset is."""
    worker = env.worker(concurrency=1)
    env.cook(worker)
    env.put("orders", b"no headers")
    env.put("orders", None, (("kallback-version", b"\xff"),))
    env.send("t1", task_type="wash")
    env.send("t2", value=b"\xff\xfe")
    env.send("t3", reply_to="not a topic")
    env.send("t4", reply_to="no-such-topic")
    env.send("good")

    async with worker:
        await env.settled(7)

    assert "kb1:good" in [each.token for each in env.results() if each.status == "completed"]
    assert env.dead() == [
        "not-a-task",
        "not-a-task",
        "unknown-task-type",
        "undecodable-task",
        "refused-reply-topic",
        "refused-reply-topic",
    ]


async def test_a_result_too_large_becomes_a_failed_one(env: WorkerEnv) -> None:
    """The caller is told that the work was done, and what to do about the size."""
    env.broker.create_topic("narrow", largest=1_000)
    worker = env.worker(reply_topics=frozenset({"narrow"}))

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        return env.prepared_type("x" * 2_000)

    env.send(reply_to="narrow")
    async with worker:
        await env.settled(1)

    (result,) = env.results("narrow")
    assert result.value["type"] == "urn:kallback:result-too-large"
    assert "max.message.bytes" in result.value["detail"]


async def test_a_result_too_large_even_as_a_failure_is_dead(env: WorkerEnv) -> None:
    """A reply topic that takes nothing at all does not block the partition."""
    env.broker.create_topic("tiny", largest=10)
    worker = env.worker(reply_topics=frozenset({"tiny"}))
    env.cook(worker)
    env.send(reply_to="tiny")

    async with worker:
        await env.settled(1)

    assert env.dead() == ["undeliverable-result"]


async def test_publishing_goes_on_while_kafka_is_away(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is tried again until Kafka has it; the offset is not done before."""
    worker = env.worker()
    done = env.cook(worker)
    tries: list[str] = []
    append = env.broker.append

    def away(record: OutgoingRecord) -> Position:
        tries.append(record.topic)
        if len(tries) < 5:
            assert env.clients.consumers[-1].unfinished() == 1
            raise KafkaUnavailableError("away")
        return append(record)

    env.send()
    monkeypatch.setattr(env.broker, "append", away)
    async with worker:
        await env.settled(1)

    assert len(tries) == 5
    assert (done, len(env.results())) == (["t1"], 1)


async def test_a_copy_of_a_finished_task_is_dropped(env: WorkerEnv) -> None:
    """The work is done once, both offsets are."""
    worker = env.worker()
    done = env.cook(worker)
    async with worker:
        env.send()
        await env.settled(1)
        env.send()
        await env.settled(2)

    assert (done, len(env.results()), worker.counts.dropped) == (["t1"], 1, 1)


async def test_a_copy_is_not_dropped_before_the_result_is_acknowledged(env: WorkerEnv) -> None:
    """While the result waits for Kafka, a copy attaches; its offset is done with the run, not earlier."""
    worker = env.worker()
    done = env.cook(worker)
    env.send()
    env.send()
    env.broker.available = False
    env.broker.available = True
    async with worker:
        env.broker.available = False
        await env.until(lambda: worker.counts.attached == 1, "the copy to attach")
        await env.clients.consumers[-1].commit()
        assert env.committed() == 0
        env.broker.available = True
        await env.settled(2)

    assert (done, len(env.results())) == (["t1"], 1)


async def test_no_more_tasks_run_than_allowed(env: WorkerEnv) -> None:
    """With a concurrency of 3, of ten tasks three run and no more than three are fetched."""
    worker = env.worker(concurrency=3)
    gate = asyncio.Event()
    running: list[str] = []

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        running.append(task.task_id)
        await gate.wait()
        return env.prepared_type(order.dish)

    for number in range(10):
        env.send(f"t{number}")
    async with worker:
        await env.until(lambda: len(running) == 3, "three to run")
        assert env.clients.consumers[-1].unfinished() == 3
        gate.set()
        await env.settled(10)

    assert len(running) == 10


async def test_a_task_past_its_deadline_is_skipped(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """No work, no result, the offset is done; one log line, one count."""
    caplog.set_level(logging.INFO)
    worker = env.worker()
    done = env.cook(worker)
    env.send(deadline_ms=int(env.now * 1000) - 6500)

    async with worker:
        await env.settled(1)

    assert (done, env.results(), worker.counts.skipped_expired) == ([], [], 1)
    assert "6500 ms past its deadline" in caplog.text


async def test_types_on_several_topics_are_done_by_one_worker(env: WorkerEnv) -> None:
    """A worker reads the topics of all its task types."""
    wash = TaskType("wash", request=str, result=str, topic="elsewhere")
    worker = env.worker()
    env.cook(worker)

    @worker.task(wash)
    async def clean(dish: str) -> str:
        return f"clean {dish}"

    env.send("t1")
    env.put("elsewhere", b'"plate"', env.headers("t2", task_type="wash").encode())
    async with worker:
        await env.until(lambda: len(env.results()) == 2, "both results")

    assert [each.value for each in env.results() if each.token == "kb1:t2"] == ["clean plate"]


async def test_the_token_is_in_no_log_line(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever happens to a task, its token stays out of the log."""
    caplog.set_level(logging.DEBUG)
    worker = env.worker()
    env.cook(worker)
    changes_of: dict[str, dict[str, Any]] = {
        "t1": {},
        "t2": {"task_type": "wash"},
        "t3": {"reply_to": "no-such-topic"},
        "t4": {"deadline_ms": 1},
        "t5": {"value": b"{"},
    }
    for task_id, changes in changes_of.items():
        env.send(task_id, token=f"kb1:secret-{task_id}", **changes)

    async with worker:
        await env.settled(5)

    assert caplog.text
    assert "kb1:secret" not in caplog.text


@pytest.mark.parametrize("value", [b'{"dish":"soup"}', b"{broken"])
async def test_trouble_with_our_own_topics_is_waited_out(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, value: bytes
) -> None:
    """A results or dead letter topic that is gone is an operator's to mend: nothing is dead-lettered or lost."""
    worker = env.worker()
    env.cook(worker)
    tries: list[str] = []
    append = env.broker.append

    def gone(record: OutgoingRecord) -> Position:
        tries.append(record.topic)
        if tries.count(record.topic) < 3:
            raise MissingTopicError(f"topic {record.topic} does not exist")
        return append(record)

    env.send(value=value)
    monkeypatch.setattr(env.broker, "append", gone)
    async with worker:
        await env.settled(1)

    assert len(env.results()) == 1
    assert tries.count(env.topics.results) == 3
    assert len(env.dead()) == value.count(b"broken")


async def test_an_unforeseen_error_while_publishing_is_tried_again(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, the others are done meanwhile, and the result is published in the end: no restart is needed."""
    worker = env.worker()
    done = env.cook(worker)
    append = env.broker.append
    broken = True

    def odd(record: OutgoingRecord) -> Position:
        if record.key == b"t1" and broken:
            raise AssertionError("odd")
        return append(record)

    env.send("t1")
    env.send("t2")
    monkeypatch.setattr(env.broker, "append", odd)
    async with worker:
        await env.until(env.results, "the result of t2")
        assert env.committed() == 0
        broken = False
        await env.settled(2)

    assert (done, [each.token for each in env.results()]) == (["t1", "t2"], ["kb1:t2", "kb1:t1"])
    assert "not published, the next try is in" in caplog.text


async def test_an_attempt_that_ends_in_an_error_of_the_worker_begins_again(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With its duplicates, after a pause in which the metrics show it; nothing is left until a restart."""
    worker = env.worker(retry_delay_limit=0.2)
    env.cook(worker)
    finish, errors = AttemptTable.finish, [AssertionError("a bug")]

    def break_once(self: AttemptTable, key: AttemptKey) -> list[Record]:
        if errors:
            raise errors.pop()
        return finish(self, key)

    monkeypatch.setattr(AttemptTable, "finish", break_once)
    env.send("t1")
    env.send("t1")
    async with worker:
        await env.until(lambda: worker.running().held_back["retry"] == 2, "both records to wait")
        assert env.committed() == 0
        await env.settled(2)

    assert worker.counts.retried == 2
    assert "was not settled" in caplog.text


async def test_an_attempt_that_a_client_cancels_begins_again(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A future that ends as cancelled ends the attempt as a cancel would; its record must not wait for a restart."""
    worker = env.worker()
    env.cook(worker)
    finish, errors = AttemptTable.finish, [asyncio.CancelledError()]

    def cancel_once(self: AttemptTable, key: AttemptKey) -> list[Record]:
        if errors:
            raise errors.pop()
        return finish(self, key)

    monkeypatch.setattr(AttemptTable, "finish", cancel_once)
    env.send("t1")
    async with worker:
        await env.settled(1)

    assert worker.counts.retried == 1


async def test_a_mended_dead_letter_is_done_once_more(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reply topic was deleted meanwhile: the same record, sent again, is no duplicate of a finished task."""

    async def list_topics() -> frozenset[str]:
        return frozenset({"late-topic"})

    monkeypatch.setattr(env.clients, "list_topics", list_topics)
    worker = env.worker(reply_topics=frozenset({"late-topic"}))
    done = env.cook(worker)
    async with worker:
        env.send("t1", reply_to="late-topic")
        await env.settled(1)
        assert env.dead() == ["undeliverable-result"]
        env.broker.create_topic("late-topic")
        env.send("t1", reply_to="late-topic")
        await env.settled(2)
        env.send("t1", reply_to="late-topic")
        await env.settled(3)

    assert (done, len(env.results("late-topic")), worker.counts.dropped) == (["t1", "t1"], 1, 1)


class SafeText(str):
    """A text as template engines make it."""

    __slots__ = ()


async def test_a_subclass_of_text_travels_as_text(env: WorkerEnv) -> None:
    """The safe strings of template engines are texts."""
    worker = env.worker()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        return env.prepared_type(SafeText("soup"))

    env.send()
    async with worker:
        await env.settled(1)

    assert env.results()[0].value == {"dish": "soup"}


async def test_a_number_without_json_form_is_refused_by_name(env: WorkerEnv) -> None:
    """NaN would arrive as null: the caller is told which member it is."""
    worker = env.worker()
    weigh = TaskType("prepare", request=dict, result=dict[str, float], topic="orders")

    @worker.task(weigh)
    async def cook(_order: Any) -> Any:
        return {"weight": float("nan")}

    env.send()
    async with worker:
        await env.settled(1)

    assert env.results()[0].value["type"] == "urn:kallback:unusable-result"
    assert "weight" in env.results()[0].value["detail"]


async def test_a_replay_that_comes_while_its_dead_letter_is_sent_is_done_once_more(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka has the dead letter before the worker hears of it: a replay within that time is no duplicate."""
    send = DeadLetters.publish

    async def replayed_meanwhile(self: DeadLetters, *args: Any) -> None:
        await send(self, *args)
        env.send("t1")
        await env.until(lambda: worker.counts.attached, "the replay to be fetched")

    monkeypatch.setattr(DeadLetters, "publish", replayed_meanwhile)
    worker = env.worker()
    done = env.cook(worker)
    env.send("t1", value=b"{")
    async with worker:
        await env.settled(2)

    assert (done, env.dead(), worker.counts.attached) == (["t1"], ["undecodable-task"], 1)


async def test_slots_are_those_that_can_be_used(env: WorkerEnv) -> None:
    """A worker whose types all have limits never runs more tasks than these allow."""
    limited, free = env.worker(concurrency=16), env.worker(concurrency=16)
    env.cook(free)
    for worker in (limited, free):
        worker.task(TaskType("other", request=str, result=str, topic="elsewhere"), concurrency=2)(str.upper)
    async with limited, free:
        assert (limited.running().slots, free.running().slots) == (2, 16)


async def test_a_type_of_which_nothing_runs_is_counted_as_zero(env: WorkerEnv) -> None:
    """A query that adds the running tasks of one type to others finds a number at any time."""
    worker = env.worker()
    env.cook(worker)
    async with worker:
        assert worker.running().by_type == {"prepare": 0}


async def test_a_worker_does_not_start_on_a_topic_of_kallback(env: WorkerEnv) -> None:
    """It would take dead letters for tasks, and write a dead letter about each, without end."""
    worker = env.worker()
    task_type = TaskType("own", request=str, result=str, topic=env.topics.dead_letters)

    @worker.task(task_type)
    async def own(request: str) -> str:
        return request

    with pytest.raises(ConfigurationError, match="kallback's own"):
        await worker.start()
