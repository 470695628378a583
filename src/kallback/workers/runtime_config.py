"""What a worker's runtime is made of, and what follows from it: topics, limits, options of the consumer. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kallback.kafka import ConsumerOptions
from kallback.settings import Settings
from kallback.workers.attempts.decide import Rules
from kallback.workers.clients import KafkaClients
from kallback.workers.options import WorkerOptions
from kallback.workers.registration.functions import TaskFunction


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """What a runtime is made of."""

    group: str
    functions: Mapping[str, TaskFunction]
    settings: Settings
    options: WorkerOptions
    clients: KafkaClients
    clock: Callable[[], float]

    @property
    def task_topics(self) -> list[str]:
        """The topics that the registered types live on, each once."""
        return sorted({function.task_type.topic for function in self.functions.values()})

    @property
    def needed_topics(self) -> list[str]:
        """All topics that must exist."""
        ours = self.settings.topics
        monitored = any(function.task_type.monitored for function in self.functions.values())
        progress = [ours.progress] if monitored else []
        return [*self.task_topics, ours.control, ours.results, ours.dead_letters, *progress]

    @property
    def limits(self) -> dict[str, int]:
        """The limits of those types that have one."""
        return {name: function.limit for name, function in self.functions.items() if function.limit is not None}

    @property
    def consumer(self) -> ConsumerOptions:
        """The consumer's options: what is held back is bounded per partition, so that no full type stops the others."""
        options = dataclasses.replace(self.options.consumer, commit_metadata=True)
        holds_back = self.limits or any(function.ordered for function in self.functions.values())
        if not holds_back or options.unfinished_records is not None:
            return options
        return dataclasses.replace(options, unfinished_records=self.options.concurrency + self.options.held_back)

    @property
    def rules(self) -> Rules:
        """What decides on records."""
        options = self.options
        return Rules(self.functions, options.reply_topics, options.clock_skew, options.deliveries)
