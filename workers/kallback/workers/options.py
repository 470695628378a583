"""How a worker behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kallback.kafka import ConsumerOptions
from kallback.protocol.errors import ConfigurationError

_WEEK: Final = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker behaves; where Kafka is and how its topics are named are `Settings`.

    Attributes:
        concurrency: tasks in flight at once, in coroutines and threads together; a task whose result waits for
            Kafka counts. Default 16. No more records are fetched than can run.
        drain_timeout: seconds that a stop waits for tasks in flight; what is unfinished then is left for another
            worker. Default 25: below the 30 s that Kubernetes gives a pod.
        reply_topics: the only topics that results may go to; a task that names another one is dead-lettered.
            Default None: any topic, as whoever may write tasks is trusted.
        expose_tracebacks: put the traceback of an unexpected exception into the failed result. Default no: it shows
            code and data of this worker to callers. The log always has it.
        finished_kept: finished attempts that are remembered so that a copy is dropped at once. Default 10,000,
            about 3 MB.
        cancels_kept: cancels that are remembered, the oldest forgotten first. Default 100,000, about 40 MB at most.
        cancels_age: seconds after which a cancel is forgotten, also the part of the control topic that is read
            at start. Default a week: as long as a task may lie in its topic before a worker comes.
        retry_delay: seconds before the second try to publish while Kafka is away; doubled each time. Default 0.1.
        retry_delay_limit: the longest such delay, in seconds. Default 10.
        consumer: how the group's consumer behaves; see `ConsumerOptions`.
    """

    concurrency: int = 16
    drain_timeout: float = 25.0
    reply_topics: frozenset[str] | None = None
    expose_tracebacks: bool = False
    finished_kept: int = 10_000
    cancels_kept: int = 100_000
    cancels_age: float = _WEEK
    retry_delay: float = 0.1
    retry_delay_limit: float = 10.0
    consumer: ConsumerOptions = field(default_factory=ConsumerOptions)

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name in ("concurrency", "finished_kept", "cancels_kept"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"WorkerOptions: {name} must be at least 1")
        for name in ("cancels_age", "retry_delay", "retry_delay_limit"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"WorkerOptions: {name} must be above 0 seconds")
        if self.drain_timeout < 0:
            raise ConfigurationError("WorkerOptions: drain_timeout must not be negative")
