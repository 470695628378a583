"""`TaskMonitor` and `ConsumedMarks`, with a context that only writes down what it is asked to do."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from restate import TerminalError

from kallback.protocol import (
    HEARTBEAT_LOST,
    Attempt,
    AwakeableId,
    Failed,
    Heard,
    Keyring,
    Marks,
    Signal,
    TaskId,
    TaskProgress,
    Token,
    open_envelope,
)
from kallback.sdk import ConsumedMarks, TaskMonitor, UnknownTask
from kallback.sdk.monitoring.decide import SuspectedLost, WatchMany, WatchRequest

AUDIENCE, TASK = "kallback.results", TaskId("A" * 16)
KEYS = Keyring.insecure()
AWAKEABLE = AwakeableId("sign_1" + base64.urlsafe_b64encode(bytes(24) + (17).to_bytes(4, "big")).decode().rstrip("="))
NOW = 1_700_000_000_000
WATCH = WatchRequest("prepare", Attempt(1), AWAKEABLE, NOW, limit_ms=300, deadline_ms=NOW + 60_000)


class Context:
    """What the handlers use of Restate's context."""

    def __init__(self, marks: int = 0) -> None:
        self.state: dict[str, Any] = {}
        self.sent: list[tuple[str, bytes, float | None]] = []
        self.resolved: list[tuple[str, bytes]] = []
        self._marks = marks

    def key(self) -> str:
        """The task's id."""
        return TASK

    async def get(self, name: str, serde: Any) -> Any:
        """What `set` wrote."""
        return serde.deserialize(self.state[name]) if name in self.state else None

    def set(self, name: str, value: Any, serde: Any) -> None:
        """Write it as Restate would."""
        self.state[name] = serde.serialize(value)

    def clear_all(self) -> None:
        """Forget."""
        self.state.clear()

    async def run_typed(self, _name: str, action: Any) -> Any:
        """Run a step."""
        return await action()

    def generic_send(
        self, _service: str, handler: str, arg: bytes, *, key: str, send_delay: timedelta | None = None
    ) -> None:
        """Write it down."""
        assert key == TASK
        self.sent.append((handler, arg, None if send_delay is None else send_delay.total_seconds()))

    async def generic_call(self, _service: str, _handler: str, _arg: bytes, *, key: str) -> bytes:
        """The marks of a topic."""
        return msgspec.json.encode(Marks(1, {0: self._marks}) if key in {"progress", "results"} else Marks(0, {}))

    def resolve_awakeable(self, name: str, value: bytes, _serde: Any) -> None:
        """Write it down."""
        self.resolved.append((name, value))

    @property
    def handlers_called(self) -> list[str]:
        """Where something was sent."""
        return [handler for handler, _, _ in self.sent]


def monitor(now_ms: int = NOW) -> TaskMonitor:
    """A monitor at this time."""
    return TaskMonitor(KEYS, AUDIENCE, topics=("progress", "results"), clock=lambda: now_ms / 1000)


async def call(service: Any, handler: str, ctx: Context, body: msgspec.Struct | bytes | None = None) -> Any:
    """Call a handler as Restate does."""
    encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await service.handlers[handler].fn(ctx, *([] if body is None else [encoded]))


def heard(seen_ms: int = NOW, attempt: int = 1) -> Heard:
    """A heartbeat of the task."""
    token = KEYS.sign(Token("prepare", TASK, Attempt(attempt), AWAKEABLE, 0), AUDIENCE)
    return Heard(token, Signal.HEARTBEAT, seen_ms, seen_ms, msgspec.Raw(b"[1]"))


async def running(marks: int = 0) -> Context:
    """A task whose first attempt was heard of."""
    ctx = Context(marks)
    await call(monitor(), "watch", ctx, WATCH)
    await call(monitor(), "progress", ctx, heard())
    ctx.sent.clear()
    return ctx


async def test_only_the_first_sign_of_life_sets_an_alarm() -> None:
    """Heartbeats write state."""
    ctx = Context()
    await call(monitor(), "watch", ctx, WATCH)
    for seen in (NOW, NOW + 100, NOW + 200):
        await call(monitor(), "progress", ctx, heard(seen))
    assert [(handler, delay) for handler, _, delay in ctx.sent] == [("alarm", 120.0), ("alarm", 0.3)]


async def test_an_alarm_of_an_older_generation_does_nothing() -> None:
    """There is one that counts."""
    ctx = await running(marks=NOW + 999)
    await call(monitor(NOW + 999), "alarm", ctx, b'{"generation": 1}')
    assert ctx.sent == []


async def test_an_alarm_without_a_task_does_nothing() -> None:
    """The task has ended."""
    ctx = Context()
    await call(monitor(), "alarm", ctx, b'{"generation": 1}')
    assert (ctx.sent, ctx.state) == ([], {})


async def test_an_overdue_attempt_is_asked_about_once_more() -> None:
    """The message goes through the inbox; nothing is failed yet."""
    ctx = await running(marks=NOW + 300)
    await call(monitor(NOW + 300), "alarm", ctx, b'{"generation": 2}')
    assert (ctx.handlers_called, ctx.resolved) == (["confirm"], [])


async def test_marks_that_are_behind_set_the_alarm_again() -> None:
    """A bridge is away: nothing is known."""
    ctx = await running(marks=NOW + 299)
    await call(monitor(NOW + 300), "alarm", ctx, b'{"generation": 2}')
    assert [(handler, delay) for handler, _, delay in ctx.sent] == [("alarm", 0.25)]


async def test_a_confirmed_suspicion_fails_the_attempt() -> None:
    """With a failure that may be tried again, once; what stays are the details."""
    ctx = await running()
    suspicion = SuspectedLost(2, NOW)
    for _ in range(2):
        await call(monitor(NOW + 400), "confirm", ctx, suspicion)
    ((name, envelope),) = ctx.resolved
    opened = open_envelope(envelope)
    assert (name, opened.task_id, opened.attempt) == (AWAKEABLE, TASK, 1)
    assert isinstance(opened.answer, Failed)
    assert opened.answer.problem().type == HEARTBEAT_LOST
    assert await call(monitor(), "watch", ctx, msgspec.structs.replace(WATCH, attempt=Attempt(2))) == b"[1]"


async def test_a_heartbeat_in_front_of_it_makes_a_suspicion_void() -> None:
    """It lay in the inbox; the alarm is set again."""
    ctx = await running()
    await call(monitor(), "progress", ctx, heard(NOW + 350))
    await call(monitor(NOW + 400), "confirm", ctx, SuspectedLost(2, NOW))
    assert ctx.resolved == []
    assert [(handler, delay) for handler, _, delay in ctx.sent] == [("alarm", 0.25)]


async def test_a_suspicion_of_an_ended_task_does_nothing() -> None:
    """Its result came in front of it."""
    ctx = await running()
    await call(monitor(), "finish", ctx, b"")
    await call(monitor(), "confirm", ctx, SuspectedLost(2, NOW))
    assert (ctx.resolved, ctx.state, ctx.sent) == ([], {}, [])


async def test_what_a_killed_handler_left_is_cleared_after_its_deadline() -> None:
    """The last alarm sees to that."""
    ctx = await running()
    await call(monitor(NOW + 120_000), "alarm", ctx, b'{"generation": 2}')
    assert (ctx.state, ctx.sent) == ({}, [])


async def test_a_given_up_attempt_leaves_an_alarm_for_what_is_left() -> None:
    """Otherwise its state would stay for ever when no next attempt comes."""
    ctx = await running()
    await call(monitor(NOW + 400), "confirm", ctx, SuspectedLost(2, NOW))
    assert [(handler, delay) for handler, _, delay in ctx.sent] == [("alarm", 119.6)]


async def test_another_attempts_heartbeat_is_ignored() -> None:
    """Older ones are superseded."""
    ctx = await running()
    before = dict(ctx.state)
    await call(monitor(), "progress", ctx, heard(NOW + 200, attempt=2))
    assert ctx.state == before


async def test_reading_an_unknown_task_is_a_typed_error() -> None:
    """Code 404."""
    with pytest.raises(UnknownTask):
        await call(monitor(), "read", Context())


async def test_reading_tells_how_it_stands() -> None:
    """As the wire says."""
    told = msgspec.json.decode(await call(monitor(), "read", await running()), type=TaskProgress)
    assert (told.task_id, told.attempt, told.heartbeat_ms) == (TASK, 1, NOW)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"[" * 100_000, msgspec.json.encode(msgspec.structs.replace(heard(), token="kb1:x"))],
)
@pytest.mark.parametrize("handler", ["progress"])
async def test_what_cannot_be_understood_or_proven_is_terminal(handler: str, body: bytes) -> None:
    """It must not be tried for ever, and nothing is written."""
    ctx = await running()
    before = dict(ctx.state)
    with pytest.raises(TerminalError) as caught:
        await call(monitor(), handler, ctx, body)
    assert (caught.value.status_code, ctx.state) == (400, before)


async def test_progress_of_another_environment_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """The team that has taken over another one's name sees it in its own log."""
    body = msgspec.json.encode(msgspec.structs.replace(heard(), token="kb1:x"))
    watching = monitor()
    for _ in range(2):
        with pytest.raises(TerminalError):
            await call(watching, "progress", await running(), body)
    assert caplog.text.count("give each environment its own KALLBACK_TOPICS_PREFIX") == 1


async def test_details_that_are_too_large_are_refused() -> None:
    """They would lie in Restate's state, and travel in a header."""
    large = msgspec.structs.replace(heard(), details=msgspec.Raw(b'"' + b"x" * 17_000 + b'"'))
    with pytest.raises(TerminalError, match="16384 are the most"):
        await call(monitor(), "progress", await running(), large)


async def test_marks_are_kept_by_topic() -> None:
    """The highest of each partition; an unknown topic has none."""
    ctx, service = Context(), ConsumedMarks()
    assert await call(service, "read", ctx) == b'{"partitions":0,"marks":{}}'
    await call(service, "report", ctx, Marks(2, {0: 5}))
    await call(service, "report", ctx, Marks(2, {0: 3, 1: 4}))
    assert msgspec.json.decode(await call(service, "read", ctx), type=Marks) == Marks(2, {0: 5, 1: 4})


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"partitions": 1, "marks": {"x": 1}}', b'{"partitions": 1, "marks": {"0": 9%b}}' % (b"0" * 30)],
)
async def test_what_is_no_marks_is_terminal(body: bytes) -> None:
    """Code 400, and the key is free again: what cannot be written as state would be tried again and again."""
    with pytest.raises(TerminalError, match="no marks"):
        await call(ConsumedMarks(), "report", Context(), body)


@pytest.mark.parametrize("service", [monitor(), ConsumedMarks()])
def test_restate_keeps_nothing_of_the_invocations(service: Any) -> None:
    """Retention 0."""
    assert (service.journal_retention, service.idempotency_retention) == (timedelta(0), timedelta(0))


async def test_the_first_attempts_of_many_tasks_are_passed_on_in_one_call() -> None:
    """Each task gets its own request, in order; the object that was called keeps nothing of them."""

    class Passing(Context):
        """Writes down the keys."""

        def generic_send(self, _service: str, handler: str, arg: bytes, *, key: str, **_: Any) -> None:
            """Write it down."""
            self.sent.append((f"{key}/{handler}", arg, None))

    ctx, ids = Passing(), [TaskId(letter * 16) for letter in "BA"]

    await call(monitor(), "watch_many", ctx, WatchMany(dict.fromkeys(ids, WATCH)))

    assert ctx.sent == [(f"{task_id}/watch", msgspec.json.encode(WATCH), None) for task_id in ids]
    assert ctx.state == {}
