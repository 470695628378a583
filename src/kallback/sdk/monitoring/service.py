"""`TaskMonitor`: hears of attempts while they run, and fails those that are lost. A virtual object by task id.

    handler ──watch──► TaskMonitor ◄──progress── bridge ◄── Kafka ◄── worker
            ◄─resolve──     │ ▲
                            ▼ │ alarm, confirm (to itself)
                       ConsumedMarks ◄──report── bridge

One alarm per task, which sets itself again. Signs of life only write state; the first one sets a new alarm, for then
the limit changes from the start's to the heartbeats'. An alarm has the generation that it was set for, and one of an
older generation does nothing.

Lost is what is still lost after everything that can be known was taken into account: the marks of the progress and of
the results topic have passed the time when it was due, so every sign of life of before is in this object's inbox or in
the awakeable. A message to itself, `confirm`, then goes through the same inbox: what is in front of it, counts.

State is cleared by `finish`, which the handler sends at the task's end, and, if the handler was killed, by an alarm
after the task's deadline. Restate keeps nothing of the invocations. A replay decides alike: the clock is a journaled
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
from restate import ObjectContext, ObjectSharedContext, TerminalError, VirtualObject
from restate.serde import BytesSerde

from kallback.protocol import (
    MARKS,
    MONITOR,
    Failed,
    Heard,
    InvalidProgressError,
    Keyring,
    Marks,
    TaskId,
    Token,
    UnverifiedError,
    checked_details,
    seal,
)
from kallback.sdk.errors import BAD_REQUEST, UnknownTask
from kallback.sdk.journal.mint import Clock
from kallback.sdk.journal.serdes import StepSerde, read_body
from kallback.sdk.monitoring.decide import (
    AtRest,
    Expired,
    LookAgain,
    Overdue,
    Suspicion,
    Watch,
    Watched,
    begin,
    confirmed,
    first_look,
    hear,
    look,
    problem_of,
    weigh,
)

_BYTES: Final = BytesSerde()
_STATE: Final = StepSerde[Watched](Watched)
_KEY: Final = "watched"


class _Alarm(msgspec.Struct, frozen=True):
    generation: int


class TaskMonitor(VirtualObject):
    """The virtual object `TaskMonitor`, ready to be bound; `callbacks.services` has it.

    Args:
        topics: names of the topics in which signs of life travel: progress and results.
        clock: seconds since the epoch.
    """

    def __init__(self, keyring: Keyring, audience: str, *, topics: Sequence[str], clock: Clock) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the name has no annotation in restate
            MONITOR,
            description="Hears of kallback's tasks while they run, and fails attempts that are lost; by task id.",
            journal_retention=timedelta(0),
            idempotency_retention=timedelta(0),
        )
        self._keyring: Final = keyring
        self._audience: Final = audience
        self._topics: Final = tuple(topics)
        self._clock: Final = clock
        for private in (self._watch, self._alarm, self._confirm, self._finish):
            name = private.__name__.removeprefix("_")
            self.handler(name, input_serde=_BYTES, output_serde=_BYTES, ingress_private=True)(private)
        self.handler("progress", input_serde=_BYTES)(self._progress)
        self.handler("read", kind="shared", output_serde=_BYTES)(self._read)

    async def _watch(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Watch over an attempt that is sent next; the answer is the last heartbeat's details, or empty."""
        known = await ctx.get(_KEY, serde=_STATE)
        watched = begin(known, read_body(body, Watch))
        ctx.set(_KEY, watched, _STATE)
        self._arm(ctx, watched, first_look(watched))
        return bytes(watched.details)

    async def _progress(self, ctx: ObjectContext, body: bytes) -> None:
        """Take a sign of life; of an attempt that is not the present one, or of no known task, it says nothing."""
        heard = read_body(body, Heard)
        token = self._verified(heard, ctx.key())
        known = await ctx.get(_KEY, serde=_STATE)
        if known is None or token.attempt != known.watch.attempt:
            return
        watched = hear(known, heard)
        ctx.set(_KEY, watched, _STATE)
        if watched.generation != known.generation:
            self._arm(ctx, watched, LookAgain(watched.watch.limit_ms or 0))

    async def _alarm(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Look whether the attempt was heard of."""
        watched = await ctx.get(_KEY, serde=_STATE)
        if watched is not None and watched.generation == read_body(body, _Alarm).generation:
            await self._look(ctx, watched)
        return b""

    async def _confirm(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Fail the attempt if it was not heard of meanwhile."""
        watched, suspicion = await ctx.get(_KEY, serde=_STATE), read_body(body, Suspicion)
        if watched is None or watched.generation != suspicion.generation:
            return b""
        if confirmed(watched, suspicion):
            failure = Failed(problem_of(watched).encode())
            envelope = seal(TaskId(ctx.key()), watched.watch.attempt, failure)
            ctx.resolve_awakeable(watched.watch.awakeable_id, envelope, _BYTES)
            watched = watched.given_up_now()
            ctx.set(_KEY, watched, _STATE)
        await self._look(ctx, watched)
        return b""

    async def _finish(self, ctx: ObjectContext, body: bytes) -> bytes:
        """Forget the task."""
        del body
        ctx.clear_all()
        return b""

    async def _read(self, ctx: ObjectSharedContext) -> bytes:
        """Tell how the task stands."""
        watched = await ctx.get(_KEY, serde=_STATE)
        if watched is None:
            raise UnknownTask(ctx.key())
        return msgspec.json.encode(watched.progress(TaskId(ctx.key())))

    async def _look(self, ctx: ObjectContext, watched: Watched) -> None:
        now_ms = await self._now_ms(ctx)
        view = look(watched, now_ms)
        if isinstance(view, Expired):
            ctx.clear_all()
        elif isinstance(view, Overdue):
            further = weigh(watched, view, now_ms, [await self._marks(ctx, topic) for topic in self._topics])
            if isinstance(further, Suspicion):
                ctx.generic_send(MONITOR, "confirm", msgspec.json.encode(further), key=ctx.key())
            else:
                self._arm(ctx, watched, further)
        else:
            self._arm(ctx, watched, view)

    def _arm(self, ctx: ObjectContext, watched: Watched, when: LookAgain | AtRest) -> None:
        if isinstance(when, LookAgain):
            alarm = msgspec.json.encode(_Alarm(watched.generation))
            delay = timedelta(milliseconds=when.in_ms)
            ctx.generic_send(MONITOR, "alarm", alarm, key=ctx.key(), send_delay=delay)

    async def _marks(self, ctx: ObjectContext, topic: str) -> Marks:
        return read_body(await ctx.generic_call(MARKS, "read", b"", key=topic), Marks)

    async def _now_ms(self, ctx: ObjectContext) -> int:
        async def now() -> int:
            return int(self._clock() * 1000)

        return await ctx.run_typed("now", now)

    def _verified(self, heard: Heard, key: str) -> Token:
        try:
            token = self._keyring.verify(heard.token, self._audience)
            checked_details(bytes(heard.details))
        except (UnverifiedError, InvalidProgressError) as error:
            raise TerminalError(str(error), BAD_REQUEST) from None
        if token.task_id != key:
            raise TerminalError("the token is another task's", BAD_REQUEST)
        return token
