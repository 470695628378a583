"""`ConsumedMarks`: the time up to which bridges have read a topic. A Restate virtual object by topic name.

    POST /ConsumedMarks/kallback.progress/report
    {"partitions": 4, "marks": {"0": 1700000000000, "1": 1700000000000}}

Each bridge reports its share about once a second; the object keeps the highest mark of each partition. `TaskMonitor`
reads it (`/read`) before it calls an attempt lost. One small state per topic; Restate keeps nothing of the invocations.

A report that fails again and again is given up: the next one says more, and Restate would pause this one, so that
no later report of its topic passed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from restate import ObjectContext, ObjectSharedContext, VirtualObject
from restate.retry_policy import InvocationRetryPolicy
from restate.serde import BytesSerde

from kallback.protocol import PLAIN_NAMES, Marks, ServiceNames
from kallback.sdk.journal.serdes import StepSerde, read_body
from kallback.sdk.monitoring.decide import merged

_BYTES: Final = BytesSerde()
_STATE: Final = StepSerde[Marks](Marks)
_KEY: Final = "marks"
_GIVEN_UP: Final = InvocationRetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    exponentiation_factor=2.0,
    max_interval=timedelta(seconds=10),
    max_attempts=60,
    on_max_attempts="kill",
)
"""After about ten minutes."""


class ConsumedMarks(VirtualObject):
    """The virtual object `ConsumedMarks`, ready to be bound; `callbacks.services` has it.

    Args:
        names: of the environment's services.
    """

    def __init__(self, names: ServiceNames = PLAIN_NAMES) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - the name has no annotation in restate
            names.marks,
            description="The time up to which kallback's bridges have read a topic; its key is the topic's name.",
            journal_retention=timedelta(0),
            idempotency_retention=timedelta(0),
        )
        self._bind()

    def _bind(self) -> None:
        async def report(ctx: ObjectContext, body: bytes) -> None:
            """Record the marks of one bridge."""
            known = await ctx.get(_KEY, serde=_STATE)
            ctx.set(_KEY, merged(known, read_body(body, Marks, what="marks")), _STATE)

        async def read(ctx: ObjectSharedContext) -> bytes:
            """Return the highest mark of each partition; no marks and no partitions for an unknown topic."""
            return msgspec.json.encode(await ctx.get(_KEY, serde=_STATE) or Marks(0, {}))

        self.handler(input_serde=_BYTES, invocation_retry_policy=_GIVEN_UP)(report)
        self.handler(kind="shared", output_serde=_BYTES)(read)
