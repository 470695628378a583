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
        concurrency: tasks in flight at once, in coroutines, threads and processes together; a task whose result
            waits for Kafka counts. Default 16. No more records are fetched than can run, but for `held_back`.
        held_back: records of one partition that may wait here because their type is full (`concurrency` of the
            registration) or their key is busy (`ordered`), beyond the tasks in flight. Default 100: so long does a
            full type not keep others of the same partition waiting. A type with its own topic keeps none waiting.
        cancel_grace: seconds from a cancel to the end of a child process that does not end by itself. Default 5:
            time to clean up; it is sent SIGTERM then, and SIGKILL a second later.
        clock_skew: seconds by which the clocks of callers and this worker may differ. Only so long after its
            deadline is a function stopped, or a task skipped. Default 5: far above what NTP leaves. If it is
            too long, work is done that no caller waits for; if it is too short, work ends that a caller waits for.
        loop_stall: seconds for which an `async def` may block the loop before a log line names it. Default 1.
        deliveries: how often a record may be started by processes that die before it is done; then it is parked: its
            caller gets a failure, people a dead letter. The last time it runs apart from others, so that no other
            record is blamed. Default 5: crashes have other causes, too.
        drain_timeout: seconds that a stop waits for tasks in flight; what is unfinished then is left for another
            worker. Default 25: below the 30 s that Kubernetes gives a pod.
        reply_topics: the only topics that results and progress may go to; a task that names another one is
            dead-lettered. Default None: any topic, because writers of tasks are trusted.
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
    held_back: int = 100
    cancel_grace: float = 5.0
    clock_skew: float = 5.0
    loop_stall: float = 1.0
    deliveries: int = 5
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
        """Reject numbers that cannot work."""
        for name in ("concurrency", "deliveries", "finished_kept", "cancels_kept"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"WorkerOptions: {name} must be at least 1")
        for name in ("cancels_age", "retry_delay", "retry_delay_limit", "loop_stall"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"WorkerOptions: {name} must be above 0 seconds")
        for name in ("drain_timeout", "held_back", "cancel_grace", "clock_skew"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"WorkerOptions: {name} must not be negative")
