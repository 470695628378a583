"""Cancels that do not come from the origin of their task: refused, counted, logged rarely; and the bounds of memory."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Cancel, CancelReason, Keyring, TaskId
from kallback.protocol.cancel_secrets import cancel_secret, hash_of, last_of_chain
from kallback.workers.cancel_memory import CANDIDATES, CancelMemory

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

RING = Keyring({"k1": b"1" * 32})
NOW = 1_000_000.0
TASK = TaskId("t1")


def secret_of(attempt: int = 1, task_id: str = "t1") -> str:
    """The secret of an attempt."""
    found = cancel_secret(RING, "k1", TaskId(task_id), Attempt(attempt))
    assert found is not None
    return found


WHOLE = secret_of(last_of_chain(Attempt(1)))
HASH = hash_of(secret_of())
FORGED = [None, "", "x" * 43, HASH, secret_of(task_id="t2")]


def memory(kept: int = 100) -> tuple[CancelMemory, list[str]]:
    """A memory, and the reasons of its refusals."""
    refused: list[str] = []
    return CancelMemory(kept, 60, lambda: NOW, lambda _cancel, proof: refused.append(proof)), refused


def cancel(secret: str | None, task_id: str = "t1", attempt: int | None = None) -> Cancel:
    """A cancel with this secret."""
    number = None if attempt is None else Attempt(attempt)
    return Cancel(TaskId(task_id), CancelReason.CANCELLED, int(NOW * 1000), number, secret)


@pytest.mark.parametrize("secret", FORGED)
async def test_a_forged_cancel_stops_no_running_task(env: WorkerEnv, secret: str | None) -> None:
    """Everyone may write to the control topic; the task goes on and the refusal is counted."""
    worker = env.worker()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        await go_on.wait()
        return env.prepared_type("soup")

    env.send(cancel_hash=HASH)
    async with worker:
        await begun.wait()
        env.cancel(secret=secret)
        await env.until(lambda: sum(worker.refused_cancels.values()), "the refusal")
        refused = {reason: count for reason, count in worker.refused_cancels.items() if count}
        go_on.set()
        await env.settled(1)

    assert [each.status for each in env.results()] == ["completed"]
    assert refused == {"no-secret" if secret is None else "wrong-secret": 1}


async def test_an_authentic_cancel_stops_its_running_task(env: WorkerEnv) -> None:
    """Also among forged ones."""
    worker = env.worker()
    begun = asyncio.Event()

    @worker.task(env.prepare)
    async def cook(_order: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    env.send(cancel_hash=HASH)
    async with worker:
        await begun.wait()
        for secret in (*FORGED, WHOLE):
            env.cancel(secret=secret)
        await env.settled(1)

    assert (env.results(), worker.counts.cancelled) == ([], 1)


async def test_a_cancel_before_its_task_is_checked_when_the_task_comes(env: WorkerEnv) -> None:
    """Forged ones are refused then, and the authentic one skips the task."""
    worker = env.worker()
    done = env.cook(worker)
    for task_id in ("t1", "t2"):
        for secret in FORGED[:4]:
            env.cancel(task_id, secret=secret)
    env.cancel("t1", secret=WHOLE)
    async with worker:
        env.send("t1", cancel_hash=HASH)
        env.send("t2", cancel_hash=hash_of(secret_of(task_id="t2")))
        await env.settled(2)
        refused = sum(worker.refused_cancels.values())

    assert (done, worker.counts.skipped_cancelled, refused) == (["t2"], 1, 8)


async def test_a_task_without_a_hash_is_cancelled_as_before(env: WorkerEnv) -> None:
    """An older sdk wrote it."""
    worker = env.worker()
    done = env.cook(worker)
    env.cancel("t1")
    env.cancel("t2", secret="x" * 43)
    async with worker:
        env.send("t1")
        env.send("t2")
        await env.settled(2)

    assert (done, worker.counts.skipped_cancelled) == ([], 2)


async def test_the_secret_of_a_superseded_attempt_does_not_cancel_the_next_one(env: WorkerEnv) -> None:
    """Who reads a cancel of attempt 1 cannot write one of attempt 2."""
    worker = env.worker()
    env.cook(worker)
    env.cancel(attempt=1, secret=secret_of(1))
    env.cancel(secret=secret_of(1))
    async with worker:
        env.send(attempt=1, token="kb1:first", cancel_hash=hash_of(secret_of(1)))
        env.send(attempt=2, token="kb1:second", cancel_hash=hash_of(secret_of(2)))
        await env.settled(2)

    assert [each.token for each in env.results()] == ["kb1:second"]


async def test_refusals_are_logged_rarely_and_without_the_secret(
    env: WorkerEnv, caplog: pytest.LogCaptureFixture
) -> None:
    """A flood of forged cancels writes one line in ten seconds."""
    caplog.set_level(logging.DEBUG)
    worker = env.worker()
    done = env.cook(worker)
    for number in range(50):
        env.cancel(f"t{number}", secret=WHOLE)
    async with worker:
        for number in range(50):
            env.send(f"t{number}", cancel_hash=hash_of(secret_of(task_id=f"t{number} ")))
        await env.settled(50)

    assert len(done) == 50
    assert caplog.text.count("cancel refused") == 1
    assert WHOLE[:8] not in caplog.text


def test_forged_cancels_of_one_task_do_not_push_out_a_real_one() -> None:
    """The first and the latest of a task are kept: a real one is lost only between two floods."""
    for before, after in ((CANDIDATES // 2 - 1, 1000), (1000, CANDIDATES // 2 - 1)):
        cancels, _ = memory()
        for number in range(before):
            cancels.remember(cancel(f"before {number}"))
        cancels.remember(cancel(WHOLE))
        for number in range(after):
            cancels.remember(cancel(f"after {number}"))
        assert len(cancels) == CANDIDATES
        assert cancels.find(TASK, Attempt(1), HASH) is not None


def test_forged_cancels_of_other_tasks_push_out_a_real_one_after_the_stated_number() -> None:
    """`cancels_kept` is the bound."""
    cancels, _ = memory(kept=100)
    cancels.remember(cancel(WHOLE))
    for number in range(99):
        cancels.remember(cancel("forged", f"other{number}"))
    assert cancels.find(TASK, Attempt(1), HASH) is not None

    cancels.remember(cancel("forged", "one more"))
    assert (len(cancels), cancels.find(TASK, Attempt(1), HASH)) == (100, None)


def test_a_refused_cancel_is_refused_once() -> None:
    """It is forgotten then: a task that is looked at again does not count it again."""
    cancels, refused = memory()
    cancels.remember(cancel("x" * 43))
    cancels.remember(cancel(None))
    for _ in range(2):
        assert cancels.find(TASK, Attempt(1), HASH) is None
    assert refused == ["wrong-secret", "no-secret"]
    assert len(cancels) == 0


def test_an_authentic_cancel_of_one_attempt_leaves_that_of_all_in_the_memory() -> None:
    """The next attempt is skipped, too."""
    cancels, _ = memory()
    cancels.remember(cancel(secret_of(1), attempt=1))
    cancels.remember(cancel(WHOLE))
    assert cancels.find(TASK, Attempt(1), HASH) is not None
    assert cancels.find(TASK, Attempt(2), hash_of(secret_of(2))) is not None


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from([None, *"0123456789"])), max_size=60))
def test_the_memory_never_holds_more_than_its_bounds(came: list[tuple[str, str | None]]) -> None:
    """In all, and of one task."""
    cancels, _ = memory(kept=12)
    for task_id, secret in came:
        cancels.remember(cancel(secret, task_id))
        assert len(cancels) <= 12
    distinct = len({each for each in came if each[0] == "a"})
    before = len(cancels)
    cancels.find(TaskId("a"), Attempt(1), HASH)  # refuses all of this task
    assert before - len(cancels) <= min(CANDIDATES, distinct)
