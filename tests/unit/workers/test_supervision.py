"""No part of a worker ends in silence, and a stop always ends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kallback.health import Phase
from kallback.kafka import MemoryConsumer, MemoryProducer
from kallback.kafka.memory.reader import MemoryReader
from kallback.lifecycle import Backoff, Supervisor
from kallback.protocol import AccessDeniedError, KafkaUnavailableError, MissingExtraError
from kallback.settings import named_log
from kallback.workers.attempts.table import AttemptTable
from kallback.workers.cancel_memory import CancelMemory
from kallback.workers.cancellation import CancelFollower
from kallback.workers.intake.crash_guard import CrashGuard
from kallback.workers.intake.in_flight import InFlightAttempts
from kallback.workers.observability.health import readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.workers.environment import WorkerEnv

    from kallback.kafka import Record


async def break_down(*_: object) -> None:
    """Be a part that fails."""
    raise AssertionError("a bug")


async def end(*_: object) -> None:
    """Be a part that ends by itself."""


async def hang(*_: object) -> None:
    """Be a part that does not end."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("part", [(CrashGuard, "run"), (CancelFollower, "_follow")])
async def test_a_part_that_ends_by_itself_ends_run_with_its_error(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: tuple[type, str]
) -> None:
    """It is in the log as well; the process is started again instead of doing half of its work."""
    owner, name = part
    if owner is CrashGuard:
        monkeypatch.setattr(owner, name, end)
    else:
        monkeypatch.setattr(owner, "_follow_on", break_down)
        monkeypatch.setattr(owner, "start", _follow_without_waiting)
    worker = env.worker()
    env.cook(worker)

    with pytest.raises(Exception, match=r"a bug|ended unexpectedly"):
        await asyncio.wait_for(worker.run(), 10)
    assert "takes no more tasks" in caplog.text


async def test_a_part_that_ends_while_the_worker_starts_ends_run(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start waits for the cancels that are there already: without its follower it would wait for ever."""
    monkeypatch.setattr(MemoryReader, "fetch", _deny)
    worker = env.worker()
    env.cook(worker)
    env.cancel()

    with pytest.raises(AccessDeniedError, match="withdrawn"):
        await asyncio.wait_for(worker.run(), 10)


async def test_a_start_that_cannot_read_all_cancels_ends_with_the_reason(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried for a while, then the process is started again instead of waiting without a word."""
    monkeypatch.setattr(MemoryReader, "fetch", _lose)
    monkeypatch.setattr("kallback.workers.cancellation._START_TIMEOUT_S", 0.05)
    worker = env.worker()
    env.cook(worker)
    env.cancel()

    with pytest.raises(KafkaUnavailableError, match="not read for 20 s"):
        await asyncio.wait_for(worker.run(), 10)


async def test_a_worker_that_loses_the_control_topic_is_not_ready_until_it_is_read_again(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks go on meanwhile."""
    fetch = MemoryReader.fetch
    worker = env.worker()
    env.cook(worker)
    async with worker:
        await env.until(lambda: readiness(worker).ok, "readiness")
        monkeypatch.setattr(MemoryReader, "fetch", _lose)
        env.cancel("t7")
        await env.until(lambda: worker.control_unread, "the failure")
        assert "cancels are not seen: not read for 20 s" in readiness(worker).reasons[0]
        env.send()
        await env.until(env.results, "the result")
        monkeypatch.setattr(MemoryReader, "fetch", fetch)
        await env.until(lambda: readiness(worker).ok, "readiness again")


async def test_a_codec_that_the_control_topic_needs_ends_the_worker_with_the_command_to_type(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting does not install it; so it is with a task topic, and during the start."""
    worker = env.worker()
    env.cook(worker)
    running = asyncio.create_task(worker.run())
    await env.until(lambda: readiness(worker).ok, "readiness")
    monkeypatch.setattr(MemoryReader, "fetch", _lack_a_codec)
    env.cancel("t7")
    with pytest.raises(MissingExtraError, match="pip install"):
        await asyncio.wait_for(running, 10)


async def test_a_reader_that_fails_like_the_one_before_it_is_replaced_ever_more_slowly(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start succeeds each time: ten readers a second would each read the whole topic, and log a line."""
    told: list[int] = []

    class Noted(Backoff):
        def delay(self, failures: int, jitter: float | None = None) -> float:
            told.append(failures)
            return 0.0 if jitter is None else jitter

    def opened() -> MemoryReader:
        return env.clients.reader(env.topics.control, 0, None)

    monkeypatch.setattr(MemoryReader, "fetch", _lose)
    supervisor = Supervisor("worker", lambda _: None, named_log("kallback.workers"))
    follower = CancelFollower(opened, CancelMemory(10, 60, lambda: env.now), lambda _: None, supervisor, Noted())
    starting = asyncio.create_task(follower.start())
    await env.until(lambda: len(told) >= 5, "five replacements")
    starting.cancel()
    await follower.stop()
    assert told[:5] == [1, 2, 3, 4, 5]


async def _lack_a_codec(*_: object) -> None:
    raise MissingExtraError('lz4 is not installed: pip install "kallback[workers]"')


async def _lose(*_: object) -> None:
    raise KafkaUnavailableError("not read for 20 s though there are records: kallback.control[0]")


async def _deny(*_: object) -> None:
    raise AccessDeniedError("withdrawn")


async def test_an_error_at_the_end_of_an_attempt_ends_run(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop would only log it, and the attempt's slot would never be free again."""
    monkeypatch.setattr(AttemptTable, "abandon", _raise)
    worker = env.worker()
    env.cook(worker)
    env.send()
    with pytest.raises(AssertionError, match="a bug"):
        await asyncio.wait_for(worker.run(), 10)


async def test_progress_that_ends_by_a_defect_is_in_the_log(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt goes on without it."""
    monkeypatch.setattr(AttemptTable, "acknowledge", _raise)
    worker = env.worker()
    watched = dataclasses.replace(env.prepare, heartbeat_every=timedelta(minutes=1))

    @worker.task(watched, acknowledge="start")
    async def cook(order: Any) -> Any:
        await env.until(lambda: "its progress ended unexpectedly" in caplog.text, "the log line")
        return env.prepared_type(order.dish)

    env.send_watched()
    async with worker:
        await env.until(env.results, "the result")


def _raise(*_: object) -> None:
    raise AssertionError("a bug")


async def _follow_without_waiting(self: CancelFollower) -> None:
    self._following = self._supervisor.run("cancels", self._follow_on(self._open_reader()))


async def test_a_worker_whose_fetching_has_ended_is_not_ready(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for those who only call `start`: the probe says that it takes no tasks."""
    worker = env.worker()
    env.cook(worker)

    async def broken(_self: MemoryConsumer, _limit: int, _timeout: float) -> Sequence[Record]:
        raise AssertionError("a bug of the client")

    async with worker:
        assert readiness(worker).ok
        monkeypatch.setattr(MemoryConsumer, "fetch", broken)
        await env.until(lambda: worker.phase is Phase.STOPPED, "the failure to be seen")
        assert not readiness(worker).ok


@pytest.mark.parametrize("part", [MemoryProducer, MemoryConsumer])
async def test_a_part_that_does_not_stop_is_named_and_left(
    env: WorkerEnv, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, part: type
) -> None:
    """The others are stopped all the same."""
    monkeypatch.setattr("kallback.workers.runtime._STOP_TIMEOUT_S", 0.05)
    worker = env.worker(cancel_grace=0.0)
    env.cook(worker)
    with monkeypatch.context() as patch:
        patch.setattr(part, "stop", hang)
        await worker.start()
        await asyncio.wait_for(worker.stop(), 10)

    assert "did not stop in time" in caplog.text


async def test_attempts_that_do_not_end_are_left_at_the_end_of_a_drain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that swallows the cancel cannot hold the stop."""
    monkeypatch.setattr("kallback.workers.intake.in_flight._CANCEL_TIMEOUT_S", 0.05)
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    in_flight = InFlightAttempts()
    attempt = in_flight.start(stubborn(), lambda _error: None)
    await asyncio.sleep(0)

    assert await asyncio.wait_for(in_flight.drain(0), 10) == 1
    assert "did not end within" in caplog.text
    released.set()
    await attempt
