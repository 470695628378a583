"""The journaled step *mint*: what of a task is random or read from a clock, drawn once.

It is a step of its own, before the one that publishes: that one can run twice when the process dies between
Kafka's acknowledgement and the journal's, and both copies must be byte-identical.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

import msgspec
from restate import Context, RestateDurableFuture, RunOptions

from kallback.protocol import Problem, TaskId, task_id_of
from kallback.sdk.errors import BAD_REQUEST, INVALID_TIMEOUT, TaskNotSent
from kallback.sdk.serdes import StepSerde

Clock = Callable[[], float]
RandomBytes = Callable[[int], bytes]

_RANDOM_BYTES: Final = 12
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_TRACESTATE: Final = re.compile(r"[\x20-\x7e]{1,512}", re.ASCII)


class Unset(Enum):
    """The type of `UNSET`."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""As a time-out: the one of the task type. (None means: wait for ever.)"""

Timeout = timedelta | None | Unset


class Minted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all attempts of one task share.

    Attributes:
        deadline_ms: epoch milliseconds; None when the caller waits for ever.
        traceparent: W3C trace context, with `tracestate`, if the invocation carries one.
    """

    task_id: TaskId
    deadline_ms: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Mint:
    """Draws what a task needs; the sources are given, so that tests decide them.

    Attributes:
        clock: seconds since the epoch.
        random_bytes: as many unguessable bytes as asked for.
    """

    clock: Clock
    random_bytes: RandomBytes

    def draw(self, ctx: Context, task_type: str, timeout: timedelta | None) -> RestateDurableFuture[Minted]:
        """Issue the step."""

        async def mint() -> Minted:  # Restate runs a plain function in a thread, which costs more than this
            request = ctx.request()
            traceparent, tracestate = trace_context(request.attempt_headers, request.headers)
            return Minted(
                task_id=task_id_of(self.random_bytes(_RANDOM_BYTES)),
                deadline_ms=None if timeout is None else int((self.clock() + timeout.total_seconds()) * 1000),
                traceparent=traceparent,
                tracestate=tracestate,
            )

        return ctx.run_typed(f"mint {task_type}", mint, RunOptions(serde=StepSerde[Minted](Minted)))


def timeout_of(task_type: str, default: timedelta | None, given: Timeout) -> timedelta | None:
    """The time-out that holds for one task.

    Raises:
        TaskNotSent: it is not longer than 0.
    """
    timeout = default if isinstance(given, Unset) else given
    if timeout is not None and timeout <= timedelta(0):
        detail = f"the time-out of {task_type} is {timeout}: give one longer than 0, or None to wait for ever"
        raise TaskNotSent(Problem(INVALID_TIMEOUT, BAD_REQUEST, detail), task_type=task_type)
    return timeout


def trace_context(*sources: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`traceparent` and `tracestate` of the first source that has a readable `traceparent`."""
    for headers in sources:
        traceparent = headers.get("traceparent", "")
        if _TRACEPARENT.fullmatch(traceparent):
            tracestate = headers.get("tracestate", "")
            return traceparent, tracestate if _TRACESTATE.fullmatch(tracestate) else None
    return None, None
