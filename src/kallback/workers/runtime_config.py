"""What a worker's runtime is made of, and what follows from it: topics, limits, options of the consumer. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kallback.kafka import Assignment, ConsumerOptions, KafkaClients
from kallback.settings import Settings
from kallback.workers.attempts.decide import Rules
from kallback.workers.attempts.reply_policy import ReplyPolicy
from kallback.workers.options import WorkerOptions
from kallback.workers.registration.functions import TaskFunction

if TYPE_CHECKING:
    from kallback.workers.observability.spans import WorkerSpans

_LONGEST_SESSION_S: Final = ConsumerOptions().session_timeout
_SHORTEST_SESSION_S: Final = 10.0  # a loop that is blocked for less does not cost the membership
_SESSION_INTERVALS: Final = (
    2  # between heartbeats: with the rebalance it is about as long as an attempt takes to be lost
)


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """What a runtime is made of; `spans` are None without a tracer."""

    group: str
    functions: Mapping[str, TaskFunction]
    settings: Settings
    options: WorkerOptions
    clients: KafkaClients
    clock: Callable[[], float]
    spans: WorkerSpans | None = None

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
    def slots(self) -> int:
        """How many tasks can run at once: fewer than the worker's concurrency if all its types have lower limits."""
        limits = self.limits
        concurrency = self.options.concurrency
        return concurrency if len(limits) < len(self.functions) else min(concurrency, sum(limits.values()))

    @property
    def consumer(self) -> ConsumerOptions:
        """The consumer's options.

        What is held back is bounded per partition, so that no full type stops the others. Partitions are assigned
        eagerly, so that a group may change its Kafka client in a rolling update.
        """
        options = dataclasses.replace(
            self.options.consumer,
            commit_metadata=True,
            session_timeout=self._session_timeout,
            assignment=Assignment.EAGER,
        )
        holds_back = self.limits or any(function.ordered for function in self.functions.values())
        if not holds_back or options.unfinished_records is not None:
            return options
        return dataclasses.replace(options, unfinished_records=self.options.concurrency + self.options.held_back)

    @property
    def _session_timeout(self) -> float:
        """Seconds: chosen, or else two intervals of the most frequent heartbeats, within bounds."""
        chosen = self.options.session_timeout
        if chosen is not None:
            return chosen
        if self.options.consumer.session_timeout != _LONGEST_SESSION_S:
            return self.options.consumer.session_timeout
        intervals = [each.task_type.heartbeat_every for each in self.functions.values()]
        shortest = min((each.total_seconds() for each in intervals if each is not None), default=_LONGEST_SESSION_S)
        return min(_LONGEST_SESSION_S, max(_SHORTEST_SESSION_S, _SESSION_INTERVALS * shortest))

    @property
    def replies(self) -> ReplyPolicy:
        """Which topics may be answered to."""
        return ReplyPolicy(self.settings.topics, frozenset(self.task_topics), self.options.reply_topics)

    def rules(self, is_missing: Callable[[str], bool]) -> Rules:
        """What decides on records."""
        options = self.options
        return Rules(
            self.functions,
            self.replies,
            is_missing,
            options.clock_skew,
            options.deliveries,
            fail_unknown_types=options.fail_unknown_types,
        )
