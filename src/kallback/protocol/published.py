"""What the sdk leaves in Restate's journal for those who list what is pending.

    journal of the waiting invocation ──PublishedTasks──────► where the records of tasks are in Kafka
                                      ──JournaledAwakeable──► which awakeable waits, of those that have no record

Tools read it through Restate's introspection. A list needs nothing else; the position leads to the task record, and so
to key, request and token. It is JSON without secrets: the signal index alone completes nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from kallback.protocol.service_names import DEFAULT_AUDIENCE
from kallback.protocol.tokens import Attempt, TaskId
from kallback.protocol.values.bounded_reading import EpochMs, Whole

_TypeName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,128}\Z")]
_TopicName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._-]{1,249}\Z")]
_AttemptNumber = Annotated[Attempt, msgspec.Meta(ge=1, le=2**31 - 1)]
_Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Offset = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What a handler writes in its journal itself may look like this, too: then a list must be able to show it."""


class PublishedTask(msgspec.Struct, frozen=True, array_like=True):
    """One attempt of one task, whose record Kafka has acknowledged. An array in JSON, because there may be thousands.

    Attributes:
        signal: index of the awakeable of this attempt, within its invocation.
        partition: of the task's topic, with `offset`: where the record is.
    """

    task_id: TaskId
    attempt: _AttemptNumber
    signal: Whole
    partition: _Partition
    offset: _Offset


class PublishedTasks(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one step has published: attempts of one task type with one deadline.

    Attributes:
        topic: that took the records.
        tasks: without those that Kafka did not take.
        created_ms: when the tasks were created, epoch milliseconds like the deadline.
        deadline_ms: of the tasks; None if their handler waits without one.
        monitored: whether `TaskMonitor` knows the tasks.
        audience: of their tokens, which names the environment.
    """

    task_type: _TypeName
    topic: _TopicName
    tasks: list[PublishedTask]
    created_ms: EpochMs | None = None
    deadline_ms: EpochMs | None = None
    monitored: bool = False
    audience: str = DEFAULT_AUDIENCE


class JournaledAwakeable(msgspec.Struct, frozen=True, omit_defaults=True):
    """An awakeable whose token the handler hands out itself; task id, creation and deadline are beside it.

    Attributes:
        signal: index of the awakeable within its invocation.
        audience: of its token, which names the environment.
    """

    task_type: _TypeName
    signal: Whole
    audience: str = DEFAULT_AUDIENCE
