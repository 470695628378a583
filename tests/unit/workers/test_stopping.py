"""Start and stop: topics are checked, what runs is drained, what is unfinished is left to another worker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.kafka import MemoryConsumer
from kallback.protocol import ConfigurationError, KafkaUnavailableError, MissingTopicError
from kallback.workers import TaskContext, Worker
from kallback.workers.intake import consumer_supervisor

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv


def stuck(env: WorkerEnv, worker: Worker) -> asyncio.Event:
    """Register a function that never returns; the event says that it runs."""
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    return begun


async def test_a_stop_waits_for_running_tasks(env: WorkerEnv) -> None:
    """What runs finishes, is published and committed before `stop` returns."""
    worker = env.worker()
    begun, gate = asyncio.Event(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        begun.set()
        await gate.wait()
        return env.prepared_type(order.dish)

    env.send()
    await worker.start()
    await begun.wait()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    assert not env.results()
    gate.set()
    await stopping

    assert (len(env.results()), env.committed()) == (1, 1)


async def test_a_stop_fetches_no_more(env: WorkerEnv) -> None:
    """A task that arrives while the worker drains is left to another one."""
    worker = env.worker(drain_timeout=0.2)
    begun = stuck(env, worker)
    env.send("t1")
    await worker.start()
    await begun.wait()
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    begun.clear()
    env.send("t2")
    await stopping

    assert not begun.is_set()


async def test_what_is_unfinished_after_the_drain_is_left_uncommitted(env: WorkerEnv) -> None:
    """A task that outlives the drain is interrupted and done by the next worker."""
    worker = env.worker(drain_timeout=0.01)
    begun = stuck(env, worker)
    env.send()
    await worker.start()
    await begun.wait()
    await worker.stop()
    assert (env.results(), env.committed(), worker.counts.abandoned) == ([], 0, 1)

    successor = env.worker()
    done = env.cook(successor)
    async with successor:
        await env.settled(1)
    assert done == ["t1"]


async def test_an_abandoned_thread_is_told(env: WorkerEnv) -> None:
    """A plain function sees `cancelled` when the drain is over."""
    worker = env.worker(drain_timeout=0)
    begun, ended = threading.Event(), threading.Event()

    @worker.task(env.prepare)
    def cook(_order: Any, task: TaskContext) -> Any:
        begun.set()
        while not task.cancelled:
            threading.Event().wait(0.001)
        ended.set()

    env.send()
    await worker.start()
    await env.until(begun.is_set, "the thread")
    await worker.stop()

    assert ended.is_set()
    assert env.committed() == 0


async def test_a_task_whose_result_cannot_be_published_is_left_uncommitted(env: WorkerEnv) -> None:
    """The drain ends also while Kafka is away; nothing is settled without its result."""
    worker = env.worker(drain_timeout=0.05)

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        env.broker.available = False
        return env.prepared_type(order.dish)

    env.send()
    await worker.start()
    await env.until(lambda: not env.broker.available, "the work")
    await worker.stop()
    env.broker.available = True

    assert env.committed() == 0


async def test_stopping_twice_is_fine(env: WorkerEnv) -> None:
    """Two stops at once and one more return when everything is stopped."""
    worker = env.worker()
    env.cook(worker)
    await worker.start()
    await asyncio.gather(worker.stop(), worker.stop())
    await worker.stop()


async def test_starting_twice_is_fine(env: WorkerEnv) -> None:
    """The second start finds the worker running."""
    worker = env.worker()
    env.cook(worker)
    await asyncio.gather(worker.start(), worker.start())
    await worker.start()

    assert len(env.clients.consumers) == 1


async def test_a_worker_can_start_again(env: WorkerEnv) -> None:
    """After a stop the same worker takes tasks again."""
    worker = env.worker()
    done = env.cook(worker)
    for number in (1, 2):
        env.send(f"t{number}")
        async with worker:
            await env.settled(number)

    assert done == ["t1", "t2"]


async def test_run_returns_when_stopped(env: WorkerEnv) -> None:
    """`stop` from another task ends `run`."""
    worker = env.worker()
    env.cook(worker)
    running = asyncio.create_task(worker.run())
    env.send()
    await env.until(env.results, "the result")
    await worker.stop()
    await running


async def test_a_cancelled_run_drains(env: WorkerEnv) -> None:
    """Ctrl-C under `asyncio.run` cancels `run`: what runs is finished all the same."""
    worker = env.worker()
    begun, gate = asyncio.Event(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        begun.set()
        await gate.wait()
        return env.prepared_type(order.dish)

    env.send()
    running = asyncio.create_task(worker.run())
    await begun.wait()
    running.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert (len(env.results()), env.committed()) == (1, 1)


async def test_stop_ends_a_start_that_hangs(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that waits for Kafka gives up when asked to stop, and `run` returns."""
    asked = asyncio.Event()

    async def hang(_topics: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(env.clients, "check_topics", hang)
    worker = env.worker()
    env.cook(worker)
    running = asyncio.create_task(worker.run())
    await asked.wait()
    await worker.stop()
    await running


async def test_a_start_that_is_cancelled_leaves_nothing(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelling `start` unwinds it, and the worker can start later."""
    asked = asyncio.Event()

    async def hang(_topics: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    worker = env.worker()
    env.cook(worker)
    with monkeypatch.context() as patch:
        patch.setattr(env.clients, "check_topics", hang)
        starting = asyncio.create_task(worker.start())
        await asked.wait()
        starting.cancel()
        await asyncio.wait({starting})
    env.send()
    async with worker:
        await env.settled(1)


@pytest.mark.parametrize("topic", ["orders", "kallback.control", "kallback.results", "kallback.dead-letters"])
async def test_a_missing_topic_is_named_with_its_remedy(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """Each topic that a worker needs is looked for at the start."""
    partitions = env.broker.partitions
    monkeypatch.setattr(env.broker, "partitions", lambda name: [] if name == topic else partitions(name))
    worker = env.worker()
    env.cook(worker)

    with pytest.raises(MissingTopicError, match=f"{topic}.*kallback topics create"):
        await worker.start()


async def test_a_start_without_kafka_fails_and_can_be_tried_again(env: WorkerEnv) -> None:
    """A broker that is away is an error of the start; later it works."""
    worker = env.worker()
    env.cook(worker)
    env.broker.available = False
    with pytest.raises(KafkaUnavailableError):
        await worker.start()
    env.broker.available = True

    await worker.start()


async def test_a_worker_without_functions_does_not_start(env: WorkerEnv) -> None:
    """The sentence says what to register."""
    with pytest.raises(ConfigurationError, match=r"register a function with @worker\.task"):
        await env.worker().start()


async def test_a_consumer_that_cannot_go_on_is_replaced(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task that runs meanwhile is not done twice: its copy attaches, and the new consumer commits it."""
    worker = env.worker()
    gate = asyncio.Event()
    fetch = MemoryConsumer.fetch

    async def broken(self: MemoryConsumer, limit: int, timeout: float) -> Any:  # noqa: ASYNC109 - the seam's own
        if self is env.clients.consumers[0] and self.unfinished():
            raise KafkaUnavailableError("fenced")
        return await fetch(self, limit, timeout)

    @worker.task(env.prepare)
    async def cook(order: Any) -> Any:
        await gate.wait()
        return env.prepared_type(order.dish)

    monkeypatch.setattr(MemoryConsumer, "fetch", broken)
    env.send()
    async with worker:
        await env.until(lambda: worker.counts.attached == 1, "the copy at the next consumer")
        gate.set()
        await env.settled(1)

    assert (len(env.clients.consumers), len(env.results())) == (2, 1)


async def test_consumers_that_fail_like_the_former_one_are_replaced_ever_slower(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each failure asks how long to wait, and each consumer that has started is told."""
    asked: list[str] = []

    class Pace:
        def __init__(self, _backoff: object) -> None:
            pass

        def started(self, _now: float) -> None:
            asked.append("started")

        def delay(self, _now: float) -> float:
            asked.append("delay")
            return 0.0

    async def broken(*_: object) -> Any:
        raise KafkaUnavailableError("a record that no client reads")

    monkeypatch.setattr(consumer_supervisor, "ReplacementPace", Pace)
    monkeypatch.setattr(MemoryConsumer, "fetch", broken)
    worker = env.worker()
    env.cook(worker)
    async with worker:
        await env.until(lambda: len(asked) >= 4, "two replacements")
    assert asked[:4] == ["delay", "started", "delay", "started"]


async def test_a_deleted_task_topic_ends_run_with_its_error(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only an operator can mend ends the worker, after the drain."""

    async def deleted(_limit: int, _timeout: float) -> Any:
        raise MissingTopicError("topic 'orders' does not exist")

    worker = env.worker()
    env.cook(worker)
    consumer = env.clients.consumer

    def failing(*arguments: Any) -> Any:
        made = consumer(*arguments)
        monkeypatch.setattr(made, "fetch", deleted)
        return made

    monkeypatch.setattr(env.clients, "consumer", failing)
    with pytest.raises(MissingTopicError, match="orders"):
        await worker.run()


async def test_a_rebalance_hands_the_running_record_back_and_its_copy_attaches(env: WorkerEnv) -> None:
    """The record comes again to the same process while it runs: it is done once, and committed when it is done."""
    worker = env.worker()
    begun, gate = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    @worker.task(env.prepare)
    async def cook(order: Any, task: TaskContext) -> Any:
        runs.append(task.task_id)
        begun.set()
        await gate.wait()
        return env.prepared_type(order.dish)

    env.send()
    async with worker:
        await begun.wait()
        (consumer,) = env.clients.consumers
        partitions = list(consumer.assignment())
        giving = asyncio.create_task(_take_and_give_back(consumer, partitions))
        await env.until(lambda: worker.counts.attached == 1, "the copy to attach")
        await giving
        await consumer.commit()
        assert env.committed() == 0
        gate.set()
        await env.settled(1)

    assert (runs, len(env.results())) == (["t1"], 1)


async def _take_and_give_back(consumer: Any, partitions: list[Any]) -> None:
    consumer._buffer.stop_handing_out(partitions)
    consumer._buffer.forget(partitions)
    consumer.receive(partitions)


async def test_a_function_that_will_not_end_does_not_hold_the_stop(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A thread that never looks is left alone; it is a daemon, so the process can end."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CLEAN_UP_TIMEOUT_S", 0.01)
    worker = env.worker(drain_timeout=0)
    begun, release = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @worker.task(env.prepare)
    def cook(_order: Any) -> Any:
        threads.append(threading.current_thread())
        begun.set()
        release.wait()

    env.send()
    await worker.start()
    await env.until(begun.is_set, "the thread")
    await worker.stop()
    assert "ignores its interruption" in caplog.text
    assert threads[0].daemon
    release.set()
    threads[0].join(5)


async def test_an_abandoned_coroutine_may_clean_up(env: WorkerEnv) -> None:
    """Its `finally` runs before `stop` returns."""
    worker = env.worker(drain_timeout=0)
    events: list[str] = []

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            events.append("clean")

    env.send()
    await worker.start()
    await env.until(lambda: events, "the task")
    await worker.stop()

    assert events == ["begun", "clean"]


async def test_the_next_consumer_is_tried_until_it_starts(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no broker answers, the worker goes on trying."""
    worker = env.worker()
    done = env.cook(worker)
    start, fetch = MemoryConsumer.start, MemoryConsumer.fetch

    async def broken(self: MemoryConsumer, limit: int, timeout: float) -> Any:  # noqa: ASYNC109 - the seam's own
        if self is env.clients.consumers[0]:
            raise KafkaUnavailableError("fenced")
        return await fetch(self, limit, timeout)

    async def away(self: MemoryConsumer) -> None:
        if self in env.clients.consumers[1:3]:
            raise KafkaUnavailableError("away")
        await start(self)

    monkeypatch.setattr(MemoryConsumer, "fetch", broken)
    monkeypatch.setattr(MemoryConsumer, "start", away)
    env.send()
    async with worker:
        await env.settled(1)

    assert (done, len(env.clients.consumers)) == (["t1"], 4)


def test_a_missing_client_names_the_command() -> None:
    """Without aiokafka a worker can be defined and says at its start what to install."""
    code = """
import sys, asyncio
sys.modules["aiokafka"] = None
from kallback.protocol import MissingExtraError, TaskType
from kallback.workers import Worker
worker = Worker("kitchen")
worker.task(TaskType("echo", request=str, result=str))(lambda text: text)
try:
    asyncio.run(worker.run())
except MissingExtraError as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 'pip install "kallback[workers]"' in shown.stdout
