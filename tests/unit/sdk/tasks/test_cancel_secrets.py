"""Every cancel of the sdk proves to the workers that it comes from the origin of its task."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import restate
from msgspec import json
from tests.unit.settings.rotating_keys import RotatingKeys

from kallback.protocol import (
    Attempt,
    Cancel,
    CancelProof,
    CancelReason,
    Keyring,
    RetryPolicy,
    TaskHeaders,
    TaskId,
    TaskType,
)
from kallback.protocol.cancel_secrets import cancel_secret, last_of_chain
from kallback.sdk.journal.awakeables import Signing
from kallback.sdk.journal.identity import IdentitySource, TaskIdentity
from kallback.sdk.observability.observer import observer_of
from kallback.testing import HandlerTest

SECOND, LIMIT = timedelta(seconds=1), timedelta(minutes=1)
AT_ONCE = RetryPolicy(attempts=20, first_delay=timedelta(0))
PREPARE = TaskType("prepare", request=str, result=str, timeout=LIMIT)
RETRIED = TaskType("retried", request=str, result=str, timeout=LIMIT, attempt_timeout=2 * SECOND, retry=AT_ONCE)
WATCHED = TaskType("watched", request=str, result=str, timeout=LIMIT, heartbeat_every=SECOND, retry=AT_ONCE)
Handler = Callable[[restate.Context], Awaitable[Any]]


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        for task_type in (PREPARE, RETRIED):
            started.worker.on(task_type).never_answers()
        started.worker.on(WATCHED).is_lost(after=SECOND).completes("B3")
        yield started


def times_out(test: HandlerTest, task_type: TaskType[str, str] = PREPARE) -> Handler:
    """A handler whose task times out."""

    async def handler(ctx: restate.Context) -> str:
        return await test.callbacks.call(ctx, task_type, "soup")

    return handler


def cancels_handle(test: HandlerTest) -> Handler:
    """A handler that cancels its own task."""

    async def handler(ctx: restate.Context) -> None:
        handle = await test.callbacks.start(ctx, PREPARE, "soup")
        await ctx.sleep(SECOND)
        await handle.cancel()

    return handler


def abandons_many(test: HandlerTest) -> Handler:
    """A handler that has tasks started together, none of which is answered."""

    async def handler(ctx: restate.Context) -> list[str]:
        handles = await test.callbacks.start_many(ctx, PREPARE, ["a", "b", "c"])
        return await test.callbacks.gather(handles)

    return handler


def retries(test: HandlerTest) -> Handler:
    """A handler whose attempts time out, more of them than one chain of secrets has."""
    return times_out(test, RETRIED)


def loses_a_worker(test: HandlerTest) -> Handler:
    """A handler whose first attempt is lost."""
    return times_out(test, WATCHED)


def is_cancelled(test: HandlerTest) -> Handler:
    """A handler whose invocation is cancelled."""
    return times_out(test, PREPARE)


@pytest.mark.parametrize("make", [times_out, cancels_handle, abandons_many, retries, loses_a_worker, is_cancelled])
async def test_the_cancel_of_each_sender_is_authentic(
    test: HandlerTest, make: Callable[[HandlerTest], Handler]
) -> None:
    """Whatever ends the wait, a worker that holds the last attempt it is about stops."""
    with contextlib.suppress(restate.TerminalError):
        await test.run(make(test), cancel_after=SECOND if make is is_cancelled else None)
    tasks = [task for each in (PREPARE, RETRIED, WATCHED) for task in test.worker.on(each).tasks]
    last = dict[tuple[TaskId, Attempt | None], TaskHeaders]()
    for task in tasks:
        last[task.headers.task_id, task.headers.attempt] = last[task.headers.task_id, None] = task.headers

    assert test.cancels
    for cancel in test.cancels:
        headers = last[cancel.task_id, cancel.attempt]
        assert headers.cancel_hash is not None
        assert cancel.proof(headers.cancel_hash) is CancelProof.AUTHENTIC


async def test_a_superseding_cancel_does_not_prove_the_next_attempt(test: HandlerTest) -> None:
    """Its secret is published, the next attempt's is not."""
    with pytest.raises(restate.TerminalError):
        await test.run(retries(test))
    tasks = {task.headers.attempt: task.headers for task in test.worker.on(RETRIED).tasks}
    superseding = [cancel for cancel in test.cancels if cancel.attempt is not None]

    assert len(superseding) > 16
    for cancel in superseding:
        assert cancel.attempt is not None
        following = tasks.get(Attempt(cancel.attempt + 1))
        assert following is None or cancel.proof(following.cancel_hash) is CancelProof.WRONG_SECRET


def signing(*key_ids: str) -> Signing:
    """Keys, the first of which signs."""
    keys = {"k1": b"1" * 32, "k2": b"2" * 32}
    return Signing(Keyring({key_id: keys[key_id] for key_id in key_ids}), "results", "results", "progress")


def test_a_replay_after_the_rotation_of_keys_derives_the_same_secret() -> None:
    """The journal has the id of the key that the task began with."""
    identity = json.decode(json.encode(TaskIdentity(TaskId("A" * 16), cancel_key="k1")), type=TaskIdentity)
    attempt = last_of_chain(Attempt(1))

    before = signing("k1").cancel_secret(identity, attempt)
    assert before is not None
    assert signing("k2", "k1").cancel_secret(identity, attempt) == before
    assert signing("k2").cancel_secret(identity, attempt) is None


async def test_a_task_after_the_rotation_of_keys_in_a_file_has_a_secret_of_the_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that named the key of its start wrote tasks without a hash, and anyone could cancel them."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    keys = RotatingKeys(tmp_path)
    source = IdentitySource(time.time, os.urandom, keys.keyring, observer_of(time.time, None))
    keys.rotate()

    identity = await source.create(cast("Any", StepContext()), PREPARE, None)

    assert cancel_secret(keys.keyring, identity.cancel_key or "", identity.task_id, Attempt(1)) is not None


class StepContext:
    """A context that runs a step."""

    def request(self) -> SimpleNamespace:
        """An invocation without headers."""
        return SimpleNamespace(attempt_headers={}, headers={})

    def run_typed(self, _name: str, step: Callable[[], Awaitable[TaskIdentity]], _options: object) -> Any:
        """Its result."""
        return step()


def test_a_task_of_an_earlier_version_has_no_secret() -> None:
    """Its journal names no key, and its record has no hash."""
    identity = json.decode(b'{"task_id":"AAAAAAAAAAAAAAAA"}', type=TaskIdentity)
    assert signing("k1").cancel_secret(identity, Attempt(1)) is None


async def test_a_handler_that_sends_its_task_itself_can_write_an_authentic_cancel(test: HandlerTest) -> None:
    """The low-level path has no cancel of its own."""

    async def handler(ctx: restate.Context) -> tuple[str, str | None]:
        waiting = await test.callbacks.awakeable(ctx, PREPARE)
        assert waiting.cancel_secret is not None
        assert waiting.cancel_secret not in repr(waiting)
        return waiting.headers["kallback-cancel-hash"], waiting.cancel_secret

    shown, secret = await test.run(handler)
    assert Cancel(TaskId("A" * 16), CancelReason.CANCELLED, 1, None, secret).proof(shown) is CancelProof.AUTHENTIC
