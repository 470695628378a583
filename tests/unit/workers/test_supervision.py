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
from kallback.workers.attempts.table import AttemptTable
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
    monkeypatch.setattr("kallback.workers.runtime._PART_TIMEOUT_S", 0.05)
    worker = env.worker()
    env.cook(worker)
    with monkeypatch.context() as patch:
        patch.setattr(part, "stop", hang)
        await worker.start()
        await asyncio.wait_for(worker.stop(), 10)

    assert "did not stop within" in caplog.text


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
