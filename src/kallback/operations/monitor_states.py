"""What `TaskMonitor` knows of tasks, read from Restate's table of states: hundreds at once, without its service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from kallback.operations.introspection import RowSource
from kallback.operations.tasks import AttemptProgress
from kallback.protocol import AwakeableId, InvalidAwakeableIdError, TaskId, parse_awakeable_id
from kallback.protocol.tokens import is_task_id
from kallback.protocol.values.bounded_reading import Whole

_KEY: Final = "watched"
_NOTHING: Final = msgspec.Raw(b"")


@dataclass(frozen=True, slots=True)
class WatchedState:
    """The current attempt of a watched task.

    Attributes:
        awakeable_id: what its handler waits for; with it, anyone can complete the attempt.
    """

    attempt: int
    awakeable_id: AwakeableId
    progress: AttemptProgress

    def __repr__(self) -> str:
        return f"WatchedState(attempt={self.attempt})"


class _StateWatch(msgspec.Struct):
    attempt: Whole
    dispatched_ms: Whole
    awakeable_id: str


class _Watched(msgspec.Struct):
    watch: _StateWatch
    started_ms: Whole | None = None
    heartbeat_ms: Whole | None = None
    details: msgspec.Raw = _NOTHING
    details_ms: Whole | None = None


class _StateRow(msgspec.Struct):
    service_key: str
    value_utf8: str | None = None


class MonitorStates:
    """Reads the states of one environment's `TaskMonitor`.

    Args:
        introspection: answers the queries.
        monitor: name of the service.
    """

    def __init__(self, introspection: RowSource, monitor: str) -> None:
        self._introspection: Final = introspection
        self._monitor: Final = monitor

    async def of(self, task_ids: Sequence[TaskId]) -> dict[TaskId, WatchedState]:
        """Return what is known of tasks; raises as `Introspection.rows`."""
        keys = ", ".join(f"'{task_id}'" for task_id in task_ids if is_task_id(task_id))
        if not keys:
            return {}
        rows = await self._introspection.rows(
            f"SELECT service_key, value_utf8 FROM state WHERE service_name = '{self._monitor}' "  # noqa: S608 - a name that Restate allows, and task ids
            f"AND key = '{_KEY}' AND service_key IN ({keys})",
            _StateRow,
        )
        found = ((TaskId(row.service_key), _decoded(row.value_utf8)) for row in rows)
        return {task_id: watched for task_id, watched in found if watched is not None}


def _decoded(text: str | None) -> WatchedState | None:
    try:
        state = msgspec.json.decode(text or "", type=_Watched)
        awakeable_id = parse_awakeable_id(state.watch.awakeable_id)
    except (msgspec.DecodeError, RecursionError, InvalidAwakeableIdError):
        return None  # encoded by a journal value codec, or of a later version
    progress = AttemptProgress(
        state.watch.dispatched_ms, state.started_ms, state.heartbeat_ms, bytes(state.details), state.details_ms
    )
    return WatchedState(state.watch.attempt, awakeable_id, progress)
