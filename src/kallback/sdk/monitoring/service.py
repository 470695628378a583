"""`TaskMonitor`: records heartbeats of running attempts and fails lost attempts. A virtual object by task id.

    handler ──watch──► TaskMonitor ◄──progress── bridge ◄── Kafka ◄── worker
            ◄─resolve──     │ ▲
                            ▼ │ alarm, confirm (to itself)
                       ConsumedMarks ◄──report── bridge

One alarm per task, which sets itself again. Heartbeats only write state; the first one sets a new alarm, because the
limit changes from the start timeout to the heartbeat limit. An alarm carries the generation that it was set for, and an
alarm of an older generation does nothing.

An attempt is lost when the marks of the progress topic and of the results topic have passed the time when its heartbeat
was due: every earlier heartbeat is then in this object's inbox, or the result is in the awakeable. The object sends
itself `confirm` through the same inbox, so a heartbeat in front of it still counts.

`finish`, which the handler sends at the task's end, clears the state. If the handler was killed, an alarm after the
task's deadline clears it. Restate keeps nothing of the invocations. A replay decides the same way: the clock is read in
a journaled step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from restate import ObjectContext, ObjectSharedContext, TerminalError, VirtualObject
from restate.serde import BytesSerde

from kallback.lifecycle import LogThrottle
from kallback.protocol import (
    Failed,
    Heard,
    InvalidProgressError,
    Keyring,
    Marks,
    ServiceNames,
    TaskId,
    Token,
    UnverifiedError,
    checked_details,
    seal,
    service_names,
)
from kallback.sdk.errors import BAD_REQUEST, UnknownTask
from kallback.sdk.journal.identity import Clock
from kallback.sdk.journal.serdes import StepSerde, read_body
from kallback.sdk.monitoring.decide import (
    CheckAgain,
    Expired,
    Idle,
    Overdue,
    SuspectedLost,
    WatchedTask,
    WatchMany,
    WatchRequest,
    begin,
    check,
    confirm_lost,
    first_check,
    problem_of,
    record_heartbeat,
    still_lost,
)
from kallback.settings import named_log

_BYTES: Final = BytesSerde()
_STATE: Final = StepSerde[WatchedTask](WatchedTask)
_KEY: Final = "watched"
_REFUSED: Final = (
    "progress is refused, its token is not of this environment: if another team's bridge sends it, give each "
    "environment its own KALLBACK_TOPICS_PREFIX, otherwise give bridges and services the same KALLBACK_KEYS"
)


class _Alarm(msgspec.Struct, frozen=True):
    generation: int


class TaskMonitor(VirtualObject):
    """The virtual object `TaskMonitor`, ready to be bound; `callbacks.services` has it.

    Args:
        topics: names of the topics that carry heartbeats and results.
        clock: seconds since the epoch.
        names: of the environment's services; by default those of the audience.
    """

    def __init__(
        self,
        keyring: Keyring,
        audience: str,
        *,
        topics: Sequence[str],
        clock: Clock,
        names: ServiceNames | None = None,
    ) -> None:
        self._names: Final = names or service_names(audience)
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the name has no annotation in restate
            self._names.monitor,
            description="Records heartbeats of running kallback tasks and fails lost attempts; its key is the task id.",
            journal_retention=timedelta(0),
            idempotency_retention=timedelta(0),
        )
        self._keyring: Final = keyring
        self._audience: Final = audience
        self._topics: Final = tuple(topics)
        self._clock: Final = clock
        self._log: Final = LogThrottle(named_log(__name__))
        for private in (self._watch, self._watch_many, self._alarm, self._confirm, self._finish):
            name = private.__name__.removeprefix("_")
            self.handler(name, input_serde=_BYTES, output_serde=_BYTES, ingress_private=True)(private)
        self.handler("progress", input_serde=_BYTES)(self._progress)
        self.handler("read", kind="shared", output_serde=_BYTES)(self._read)

    async def _watch(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Watch an attempt that is sent next; the answer is the last heartbeat's details, or empty."""
        known = await ctx.get(_KEY, serde=_STATE)
        watched = begin(known, read_body(body, WatchRequest))
        ctx.set(_KEY, watched, _STATE)
        self._set_alarm(ctx, watched, first_check(watched))
        return bytes(watched.details)

    async def _watch_many(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Pass on the first attempts of many tasks, which start together; the key is one of them.

        Restate delivers what an invocation sends in order, and its answer last. So each watch is in the inbox of its
        task before the caller publishes, and so before a heartbeat.
        """
        for task_id, request in read_body(body, WatchMany).watches.items():
            ctx.generic_send(self._names.monitor, "watch", msgspec.json.encode(request), key=task_id)
        return b""

    async def _progress(self, ctx: ObjectContext, body: bytes) -> None:
        """Record a heartbeat; one of another attempt or of an unknown task changes nothing."""
        heard = read_body(body, Heard)
        token = self._verified(heard, ctx.key())
        known = await ctx.get(_KEY, serde=_STATE)
        if known is None or token.attempt != known.watch.attempt:
            return
        watched = record_heartbeat(known, heard)
        ctx.set(_KEY, watched, _STATE)
        if watched.generation != known.generation:
            self._set_alarm(ctx, watched, CheckAgain(watched.watch.limit_ms or 0))

    async def _alarm(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Check whether the attempt is overdue."""
        watched = await ctx.get(_KEY, serde=_STATE)
        if watched is not None and watched.generation == read_body(body, _Alarm).generation:
            await self._check(ctx, watched)
        return b""

    async def _confirm(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Fail the attempt if no heartbeat came meanwhile."""
        watched, suspected = await ctx.get(_KEY, serde=_STATE), read_body(body, SuspectedLost)
        if watched is None or watched.generation != suspected.generation:
            return b""
        if still_lost(watched, suspected):
            failure = Failed(problem_of(watched).encode())
            envelope = seal(TaskId(ctx.key()), watched.watch.attempt, failure)
            ctx.resolve_awakeable(watched.watch.awakeable_id, envelope, _BYTES)
            watched = watched.given_up_now()
            ctx.set(_KEY, watched, _STATE)
        await self._check(ctx, watched)
        return b""

    async def _finish(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Clear the task's state."""
        del body
        ctx.clear_all()
        return b""

    async def _read(self, ctx: ObjectSharedContext) -> bytes:
        """Return the status of the task."""
        watched = await ctx.get(_KEY, serde=_STATE)
        if watched is None:
            raise UnknownTask(ctx.key())
        return msgspec.json.encode(watched.progress(TaskId(ctx.key())))

    async def _check(self, ctx: ObjectContext, watched: WatchedTask) -> None:
        now_ms = await self._now_ms(ctx)
        verdict = check(watched, now_ms)
        if isinstance(verdict, Expired):
            ctx.clear_all()
        elif isinstance(verdict, Overdue):
            further = confirm_lost(watched, verdict, now_ms, [await self._marks(ctx, topic) for topic in self._topics])
            if isinstance(further, SuspectedLost):
                ctx.generic_send(self._names.monitor, "confirm", msgspec.json.encode(further), key=ctx.key())
            else:
                self._set_alarm(ctx, watched, further)
        else:
            self._set_alarm(ctx, watched, verdict)

    def _set_alarm(self, ctx: ObjectContext, watched: WatchedTask, when: CheckAgain | Idle) -> None:
        if isinstance(when, CheckAgain):
            alarm = msgspec.json.encode(_Alarm(watched.generation))
            delay = timedelta(milliseconds=when.in_ms)
            ctx.generic_send(self._names.monitor, "alarm", alarm, key=ctx.key(), send_delay=delay)

    async def _marks(self, ctx: ObjectContext, topic: str) -> Marks:
        return read_body(await ctx.generic_call(self._names.marks, "read", b"", key=topic), Marks)

    async def _now_ms(self, ctx: ObjectContext) -> int:
        async def now() -> int:
            return int(self._clock() * 1000)

        return await ctx.run_typed("now", now)

    def _verified(self, heard: Heard, key: str) -> Token:
        try:
            token = self._keyring.verify(heard.token, self._audience)
            checked_details(bytes(heard.details))
        except UnverifiedError as error:
            name = self._names.monitor
            self._log.warning(_REFUSED, kind="progress-refused", service=name, reason=error.reason, detail=str(error))
            raise TerminalError(str(error), BAD_REQUEST) from None
        except InvalidProgressError as error:
            raise TerminalError(str(error), BAD_REQUEST) from None
        if token.task_id != key:
            raise TerminalError("the token belongs to another task", BAD_REQUEST)
        return token
