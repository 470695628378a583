"""How a worker behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kallback.kafka import ConsumerOptions
from kallback.protocol.errors import ConfigurationError
from kallback.settings.option_types import check_option_types

_WEEK: Final = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker behaves; where Kafka is and how its topics are named are `Settings`.

    Attributes:
        concurrency: tasks that run at once, in coroutines, threads and processes together. Default 16. No more records
            are fetched than can run, but for `held_back`.
        unacknowledged: results that may wait for Kafka's acknowledgement while other tasks run in their place. Beyond
            it, and beyond 1 MiB of results and their tasks, a task counts as running until Kafka has its result: so an
            outage of Kafka ends the fetching. Default 256: one acknowledgement covers the results of many short tasks.
            0: each task counts until then, as those do that are `ordered`.
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
        drain_timeout: seconds that a stop waits for tasks in flight; what is unfinished then is handed back to its
            caller, or left for another worker. Default 25: below the 30 s that Kubernetes gives a pod.
        reply_topics: the only topics that results and progress may go to beside the installation's own two; a name
            that ends in `*` allows all that begin so. A task that names another topic is dead-lettered. Default
            None: those of `Topics.reply_to`, and all that begin with `Topics.prefix`. No result ever goes to a
            task topic of this worker, nor to the control, outcomes or dead-letter topic.
        fail_unknown_types: also fail the caller of a task whose type no function here does, at once. Default no: it
            becomes a dead letter only, to be sent again when a worker knows the type, and its caller waits until its
            deadline. Not for a topic whose types several groups share: each group would fail the others' tasks.
        expose_tracebacks: put the traceback of an unexpected exception into the failed result. Default no: it shows
            code and data of this worker to callers. The log always has it.
        finished_kept: finished attempts that are remembered so that a duplicate is dropped at once. Default 10,000,
            about 3 MB.
        cancels_kept: cancels that are remembered, the oldest forgotten first. Default 50,000, about 20 MB at most.
        cancels_age: seconds after which a cancel is forgotten, also the part of the control topic that is read
            at start. Default a week: as long as a task may lie in its topic before a worker comes.
        retry_delay: seconds before the second try to publish while Kafka is unavailable; doubled each time.
            Default 0.1.
        retry_delay_limit: the longest such delay, in seconds. Default 10.
        session_timeout: seconds without a sign of life to Kafka after which the group gives this worker's partitions to
            the others. Default None: as `consumer` says if it says so, otherwise by the registered types. With
            heartbeats, it is two intervals of the most frequent ones, between 10 and 45: then tasks that wait in the
            partitions of a worker that died are not later than the one it worked on. Without heartbeats, it is 45.
        consumer: how the group's consumer behaves; see `ConsumerOptions`.
    """

    concurrency: int = 16
    unacknowledged: int = 256
    held_back: int = 100
    cancel_grace: float = 5.0
    clock_skew: float = 5.0
    loop_stall: float = 1.0
    deliveries: int = 5
    drain_timeout: float = 25.0
    reply_topics: frozenset[str] | None = None
    fail_unknown_types: bool = False
    expose_tracebacks: bool = False
    finished_kept: int = 10_000
    cancels_kept: int = 50_000
    cancels_age: float = _WEEK
    retry_delay: float = 0.1
    retry_delay_limit: float = 10.0
    session_timeout: float | None = None
    consumer: ConsumerOptions = field(default_factory=ConsumerOptions)

    def __post_init__(self) -> None:
        """Reject types and numbers that cannot work."""
        check_option_types(self)
        for name in ("concurrency", "deliveries", "finished_kept", "cancels_kept"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"WorkerOptions: {name} must be at least 1")
        for name in ("cancels_age", "retry_delay", "retry_delay_limit", "loop_stall"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"WorkerOptions: {name} must be above 0 seconds")
        if self.session_timeout is not None and self.session_timeout <= 0:
            raise ConfigurationError("WorkerOptions: session_timeout must be above 0 seconds, or None")
        for name in ("drain_timeout", "held_back", "unacknowledged", "cancel_grace", "clock_skew"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"WorkerOptions: {name} must not be negative")
