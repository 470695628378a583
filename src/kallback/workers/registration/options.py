"""What a registration may say about a function apart from its task type: words, and the checks of how they combine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeVar

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.tasktypes import TaskType
from kallback.settings.option_types import check_option_types


class Executor(StrEnum):
    """Where a task function runs."""

    LOOP = "loop"
    """`async def`: on the worker's event loop."""
    THREAD = "thread"
    """`def`: in a thread."""
    PROCESS = "process"
    """`def`, asked for by name: in a child process, for work that computes."""


class Acknowledge(StrEnum):
    """When the task's record is settled."""

    RESULT = "result"
    """When its result is durable: a worker that dies leaves it to another one."""
    START = "start"
    """When Kafka has the `started` record: a worker that dies is noticed by its missing heartbeats, and the caller
    dispatches the next attempt. For tasks so long that the partition's commit position must not wait for them."""


Word = TypeVar("Word", bound=StrEnum)
ExecutorName = Literal["loop", "thread", "process"]
AcknowledgeName = Literal["result", "start"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """How a function is to be run.

    Attributes:
        executor: None means as the function is written: `async def` on the loop, `def` in a thread.
        concurrency: tasks of this type at a time; None means the worker's, for processes one per CPU.
        ordered: tasks of one record key run one after another.
        acknowledge: when the record is settled.
    """

    executor: Executor | None = None
    concurrency: int | None = None
    ordered: bool = False
    acknowledge: Acknowledge = Acknowledge.RESULT

    def check(self, task_type: TaskType[Any, Any]) -> None:
        """Reject what cannot work.

        Raises:
            ConfigurationError: with the remedy.
        """
        check_option_types(self)
        if self.concurrency is not None and self.concurrency < 1:
            raise ConfigurationError(f"task type {task_type.name}: concurrency must be at least 1")
        if self.acknowledge is Acknowledge.START and task_type.heartbeat_every is None:
            raise ConfigurationError(
                f"task type {task_type.name}: acknowledge='start' needs heartbeats, because nothing else would notice "
                "that its worker is lost: give the task type a heartbeat_every"
            )

    def limit(self, executor: Executor) -> int | None:
        """Tasks of this type at a time; None for no limit but the worker's."""
        if self.concurrency is not None or executor is not Executor.PROCESS:
            return self.concurrency
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def registration_of(executor: str | None, concurrency: int | None, acknowledge: str, *, ordered: bool) -> Registration:
    """Read what a decorator was given.

    Raises:
        ConfigurationError: a word that is none.
    """
    return Registration(
        executor=None if executor is None else _word(Executor, executor),
        concurrency=concurrency,
        ordered=ordered,
        acknowledge=_word(Acknowledge, acknowledge),
    )


def _word(words: type[Word], given: str) -> Word:
    try:
        return words(given)
    except ValueError:
        known = " or ".join(repr(word.value) for word in words)
        raise ConfigurationError(f"{words.__name__.lower()}={given!r} is not known: write {known}") from None
