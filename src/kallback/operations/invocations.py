"""What Restate says of one invocation: whether it runs, suspends, fails again and again, or is paused."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from kallback.bridge.restate.services import QUESTION
from kallback.operations.introspection import RowSource
from kallback.operations.journals.queries import quoted
from kallback.protocol.values.bounded_reading import Whole


class InvocationStatus(msgspec.Struct, frozen=True, rename={"waits_for_signals": "suspended_waiting_for_signals"}):
    """One invocation, as Restate has it.

    Attributes:
        status: `running`, `suspended`, `backing-off`, `paused`, `ready`, `pending` and so on.
        retry_count: how often it was started since it last made progress, the first start counted; None for never.
        last_failure: why its last run failed.
        next_retry_at: when it is started again, as Restate writes it.
        pinned_deployment_id: the deployment that runs it.
        last_start_at: when its run of now began, as Restate writes it.
        last_failure_error_code: Restate's own code of the last failure, such as `RT0010`.
        last_attempt_deployment_id: the deployment that its last run was sent to.
        waits_for_signals: the numbers of the signals, such as awakeables, that end its suspension; None if it is not
            suspended.
        idempotency_key: of the request that started it; None if it had none.
    """

    id: str
    target: str
    status: str
    retry_count: Whole | None = None
    last_failure: str | None = None
    next_retry_at: str | None = None
    pinned_deployment_id: str | None = None
    last_start_at: str | None = None
    last_failure_error_code: str | None = None
    last_attempt_deployment_id: str | None = None
    waits_for_signals: list[Whole] | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        if self.last_start_at is not None:
            datetime.fromisoformat(self.last_start_at)  # msgspec makes an error of decoding of what it raises

    @property
    def is_question(self) -> bool:
        """Whether a bridge or a doctor asked a service with it whether it is there: no task waits for it."""
        return (self.idempotency_key or "").startswith(QUESTION)

    @property
    def unreached(self) -> str | None:
        """The deployment that gave no answer when it was last tried; None if it failed for another reason."""
        is_unreached = self.failures and self.last_failure_error_code == _NO_ANSWER
        return self.last_attempt_deployment_id if is_unreached else None

    @property
    def failure_line(self) -> str:
        """The first line of the last failure, in bounds; behind it comes a stack trace. Empty without one."""
        return (self.last_failure or "").partition("\n")[0][:_SHOWN]

    @property
    def short_target(self) -> str:
        """The handler that runs, in bounds: the key of a virtual object may have any length."""
        return shortened_target(self.target)

    @property
    def failures(self) -> int:
        """How many runs have failed since it last made progress. A handler that waits makes none."""
        if not self.last_failure or not self.retry_count or self.status == "suspended":
            return 0
        has_ended = self.status in {"backing-off", "paused"}
        return self.retry_count if has_ended else self.retry_count - 1

    def waits_for(self, signal: int) -> bool | None:
        """Whether the answer to this awakeable is one that it waits for now; None if it runs: that does not tell."""
        return None if self.waits_for_signals is None else signal in self.waits_for_signals

    def run_ms(self, now_ms: int) -> int | None:
        """How long its run of now has lasted, in milliseconds; None if it does not run."""
        if self.status != "running" or self.last_start_at is None:
            return None
        return max(0, now_ms - int(datetime.fromisoformat(self.last_start_at).timestamp() * 1000))


MOST_STUCK: Final = 1000
"""Invocations that are counted at most."""
_SHOWN: Final = 300
_NO_ANSWER: Final = "RT0010"
"""Restate's code of a network error between it and a deployment."""
_COLUMNS: Final = (
    "id, target, status, retry_count, last_failure, next_retry_at, pinned_deployment_id, last_start_at, "
    "last_failure_error_code, last_attempt_deployment_id, idempotency_key"
)


def shortened_target(target: str) -> str:
    """A handler as Restate writes it, with a long key cut short."""
    return target if len(target) <= _SHOWN else f"{target[:_SHOWN]}… ({len(target)} characters)"


async def read_stuck_invocations(introspection: RowSource) -> list[InvocationStatus]:
    """Return invocations that fail again and again, or are paused, of all services; raises as `Introspection.rows`."""
    return await introspection.rows(
        f"SELECT {_COLUMNS} FROM sys_invocation WHERE status IN ('backing-off', 'paused') LIMIT {MOST_STUCK}",  # noqa: S608 - a number
        InvocationStatus,
    )


async def read_invocation(introspection: RowSource, invocation_id: str) -> InvocationStatus | None:
    """Return the status of an invocation; None if Restate does not know it. Raises as `Introspection.rows`."""
    rows = await introspection.rows(
        f"SELECT {_COLUMNS}, suspended_waiting_for_signals FROM sys_invocation "  # noqa: S608 - `quoted` lets ids through only
        f"WHERE id IN ({quoted([invocation_id])})",
        InvocationStatus,
    )
    return rows[0] if rows else None
