"""Makes the changes of operators, through Kafka: what a worker or a caller would send, in the operator's name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Protocol

from kallback.cli.console.changes import Change, ChangeAction
from kallback.cli.console.many import ChangesMany
from kallback.cli.console.replays import ReplaysLetters
from kallback.cli.console.sources import ConsoleSources
from kallback.kafka import Producer
from kallback.operations import ByHand, NotAnswerableError, PendingTask, answer_headers, check_repeatable
from kallback.protocol import TaskType
from kallback.settings import Settings


class MakesChanges(Protocol):
    """What makes changes; a test has another one."""

    @property
    def replays(self) -> ReplaysLetters:
        """What replays dead letters."""
        ...

    @property
    def many(self) -> ChangesMany:
        """What changes many tasks."""
        ...

    async def make(self, task: PendingTask, change: Change) -> None:
        """Make a change; returns when Kafka has it.

        Raises:
            NotAnswerableError: it cannot be made to this task, or to its attempt.
            NoTaskRecordError: the task's record is gone.
            ConfigurationError, KafkaUnavailableError: as `ByHand`.
        """
        ...


class ChangeSender:
    """`MakesChanges` on a producer that its owner starts and stops.

    Args:
        replays: replays dead letters.
        many: changes many tasks.
        types: task types whose results are checked before they are sent.
    """

    def __init__(
        self,
        sources: ConsoleSources,
        producer: Producer,
        settings: Settings,
        replays: ReplaysLetters,
        many: ChangesMany,
        types: Iterable[TaskType[Any, Any]] = (),
    ) -> None:
        self._types: Final = {each.name: each for each in types}
        self.replays: Final = replays
        self.many: Final = many
        self._sources: Final = sources
        self._producer: Final = producer
        self._settings: Final = settings

    async def make(self, task: PendingTask, change: Change) -> None:
        """Make a change; returns when Kafka has it."""
        if change.attempt != task.attempt:
            raise NotAnswerableError(
                f"attempt {change.attempt} has ended meanwhile, and attempt {task.attempt} runs: look at it first"
            )
        if change.action is ChangeAction.RETRY:
            check_repeatable(task)
        headers = await answer_headers(self._sources.record, task, self._settings)
        by_hand = ByHand(self._producer, self._settings, change.operator)
        match change.action:
            case ChangeAction.COMPLETE:
                await by_hand.complete(headers, change.value, self._types.get(task.task_type))
            case ChangeAction.FAIL:
                await by_hand.fail(headers, change.problem)
            case ChangeAction.RETRY:
                details = b"" if task.progress is None else task.progress.details
                await by_hand.retry(headers, details)
            case ChangeAction.CANCEL:
                await by_hand.cancel(headers, has_worker=task.signal is None)
