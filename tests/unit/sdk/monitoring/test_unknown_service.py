"""How often a call is begun before Restate is said not to know the service, and how the journal shows that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
import restate
from restate.server_context import ServerInvocationContext
from restate.vm import Invocation

from kallback.protocol import TaskId, TaskType
from kallback.sdk.monitoring import unknown_service
from kallback.sdk.monitoring.client import MonitorCalls
from kallback.sdk.monitoring.unknown_service import CallTries, call_known
from kallback.testing import HandlerTest
from kallback.testing.in_memory.restate import CallHandles

MARK, FINISH = "sleep give up TaskMonitor", "send TaskMonitor/finish"
RENDER = TaskType("render", request=str, result=str, timeout=timedelta(hours=1), heartbeat_every=timedelta(seconds=10))


class MismatchError(Exception):
    """The code does not do what the journal says."""


class Journal:
    """One invocation in a Restate that may not know a service: then a message to it, and what follows, is not kept."""

    def __init__(self) -> None:
        self.entries = list[str]()
        self.is_known = False
        self._position = 0
        self._is_over = False

    def attempt(self) -> restate.Context:
        """The context of the next attempt."""
        self._position, self._is_over = 0, False
        unused = cast("Any", None)
        return ServerInvocationContext(
            cast("Any", self), unused, Invocation("inv_1", 0, [], b"", ""), {}, unused, unused
        )

    def is_replaying(self) -> bool:
        """Whether the next entry is in the journal."""
        return self._position < len(self.entries)

    def sys_sleep(self, _millis: int, name: str) -> int:
        """A timer."""
        return self._do(f"sleep {name}")

    def sys_send(self, service: str, handler: str, _parameter: bytes, _key: str, **_: object) -> int:
        """A one-way call: Restate refuses it while the handler goes on."""
        self._is_over = self._is_over or not (self.is_known or self.is_replaying())
        return self._do(f"send {service}/{handler}")

    def sys_call(self, service: str, handler: str, **_: object) -> CallHandles:
        """A call."""
        return CallHandles(self._do(f"call {service}/{handler}"), 0)

    def _do(self, entry: str) -> int:
        if self.is_replaying() and self.entries[self._position] != entry:
            raise MismatchError(f"{entry} in place of {self.entries[self._position]}")
        if not (self.is_replaying() or self._is_over):
            self.entries.append(entry)
        self._position += 1
        return self._position


@pytest.fixture(name="now")
def simulated_time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, and a process in which nothing was tried yet."""
    now = [0.0]
    restart(monkeypatch, now)
    return now


def restart(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    """Go on in another process."""
    monkeypatch.setattr(unknown_service, "_tries", CallTries(lambda: now[0]))


def end(ctx: restate.Context, *tasks: str) -> None:
    """What a handler does when these tasks end."""
    monitor = MonitorCalls("TaskMonitor")
    for task in tasks:
        monitor.forget(ctx, TaskId(task))


def given_up(now: list[float], *tasks: str) -> Journal:
    """A journal in which the messages of these tasks are left out."""
    journal = Journal()
    for at in (0.0, 0.7, 1.9, 4.3):
        now[0] = at
        end(journal.attempt(), *tasks)
    return journal


def test_a_call_that_is_begun_again_and_again_never_succeeds() -> None:
    """Four tries over four seconds: neither a quick series nor a long pause is enough."""
    now = [0.0]
    tries = CallTries(lambda: now[0])

    assert [tries.begin("quick") for _ in range(10)] == [False] * 10
    seen = list[bool]()
    for at in (0.0, 0.7, 1.9, 4.3):
        now[0] = at
        seen.append(tries.begin("slow"))
    assert seen == [False, False, False, True]
    assert not tries.begin("another")


def test_what_another_process_gave_up_is_given_up_here() -> None:
    """The journal says so."""
    tries = CallTries(lambda: 0.0)
    tries.give_up("call")
    assert tries.is_given_up("call")
    assert tries.begin("call")
    assert not tries.is_given_up("another")


def test_a_call_that_is_in_the_journal_starts_anew() -> None:
    """It succeeded once, so Restate knows the service."""
    now = [0.0]
    tries = CallTries(lambda: now[0])
    for _ in range(4):
        tries.begin("call")
    now[0] = 10.0
    tries.forget("call")

    assert not tries.begin("call")


async def test_a_handler_may_read_the_same_status_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every two seconds, without a replay between: each is another call, and none is a repeated try."""
    now = [0.0]
    monkeypatch.setattr(unknown_service, "_tries", CallTries(lambda: now[0]))

    async def handler(ctx: restate.Context) -> list[int]:
        handle = await test.callbacks.start(ctx, RENDER, "clip")
        attempts = list[int]()
        for _ in range(6):
            attempts.append((await test.callbacks.progress(ctx, handle.task_id)).attempt)
            now[0] += 2
        await handle.result()
        return attempts

    async with HandlerTest() as test:
        test.worker.on(RENDER).completes("done", after=timedelta(minutes=1))
        assert await test.run(handler) == [1] * 6


@pytest.mark.usefixtures("now")
def test_a_message_is_sent_where_the_service_is_known() -> None:
    """Once for each task, and a replay sends it again."""
    journal = Journal()
    journal.is_known = True
    for _ in range(2):
        end(journal.attempt(), "a", "b")
    assert journal.entries == [FINISH] * 2


def test_a_message_that_is_refused_again_and_again_is_left_out(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """One entry marks that, however many tasks end there; replays meet it, and say nothing."""
    journal = given_up(now, "a", "b", "c")
    assert journal.entries == [MARK]
    end(journal.attempt(), "a", "b", "c")
    assert journal.entries == [MARK]
    assert caplog.text.count("does not tell it which tasks end") == 1


def test_a_replay_in_another_process_leaves_it_out_at_the_second_attempt(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one finds that the journal has the mark."""
    journal = given_up(now, "a", "b", "c")
    restart(monkeypatch, now)

    with pytest.raises(MismatchError):
        end(journal.attempt(), "a", "b", "c")
    end(journal.attempt(), "a", "b", "c")
    assert journal.entries == [MARK]


def test_a_message_that_another_process_sent_is_sent_again_in_a_replay(now: list[float]) -> None:
    """This process had left it out, but its decision never came to the journal."""
    given_up(now, "a")
    journal = Journal()
    journal.entries = [FINISH]

    with pytest.raises(MismatchError):
        end(journal.attempt(), "a")
    end(journal.attempt(), "a")


async def test_messages_are_sent_again_after_the_next_call(now: list[float]) -> None:
    """The service may be known by then: a call has an answer, or an error of its own."""
    journal = given_up(now, "a")
    ctx = journal.attempt()
    end(ctx, "a")
    journal.is_known = True
    await call_known(ctx, "TaskMonitor", "watch b", lambda: ctx.generic_call("TaskMonitor", "watch", b"", key="b"))
    end(ctx, "b")
    assert journal.entries == [MARK, "call TaskMonitor/watch", FINISH]
