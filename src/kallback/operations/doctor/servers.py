"""What the doctor looks with; a server that gave no answer is not asked again, for each question would wait as long."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from kallback.bridge.restate.services import ServiceAnswer, ServiceCheck
from kallback.kafka import PartitionTransaction, TopicGroup, TopicReader
from kallback.operations.absent import AbsentTasks
from kallback.operations.deployments import Deployment
from kallback.operations.doctor.access import Access
from kallback.operations.doctor.findings import Finding
from kallback.operations.introspection import RowSource
from kallback.operations.task_records import FindRecord
from kallback.protocol import KallbackError
from kallback.settings import Settings


@dataclass(frozen=True, slots=True)
class Sources:
    """What the doctor looks with.

    Attributes:
        topics: the names of all topics.
        groups: the consumer groups of a topic.
        services: asks the services of the environment; None without keys.
        withdraw: removes invocations with these idempotency keys, those of questions that no service has answered;
            None: they stay until their service is back.
        deployments: all that Restate has; None: they are not looked at.
        transactions: those that producers have open in some topics; None: they are not looked for.
        reader: of a topic, from a time on (epoch milliseconds).
    """

    introspection: RowSource
    topics: Callable[[], Awaitable[frozenset[str]]]
    groups: Callable[[str], Awaitable[list[TopicGroup]]]
    find: FindRecord
    reader: Callable[[str, int | None], TopicReader]
    services: Callable[[], Awaitable[list[ServiceAnswer]]] | None = None
    withdraw: Callable[[Sequence[str]], Awaitable[None]] | None = None
    deployments: Callable[[], Awaitable[list[Deployment]]] | None = None
    transactions: Callable[[Sequence[str]], Awaitable[list[PartitionTransaction]]] | None = None


def service_check(settings: Settings) -> Callable[[], Awaitable[list[ServiceAnswer]]] | None:
    """What asks the services of an environment; None without keys."""
    if settings.keys.keyring is None and not settings.keys.insecure:
        return None
    names = settings.services
    check = ServiceCheck(
        settings.restate,
        settings.keys.require(),
        settings.keys.audience,
        monitors=[names.monitor],
        notifiers=[names.notifier],
        marks=names.marks,
        asker="doctor",
    )
    return check.ask


class Servers:
    """The servers of one environment, as far as they answer.

    Attributes:
        sources: what asks them.
        settings: of the environment.
        clock: seconds since the epoch.
        access: what could not be looked at so far.
    """

    def __init__(self, sources: Sources, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.sources: Final = sources
        self.settings: Final = settings
        self.clock: Final = clock
        self.access: Final = Access()
        self._absent: Final = AbsentTasks(sources.introspection, settings.keys.audience, clock=clock)

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return int(self.clock() * 1000)

    @property
    def introspection(self) -> RowSource:
        """Restate's; raises as `require_restate`."""
        self.require_restate()
        return self.sources.introspection

    @property
    def absent(self) -> AbsentTasks:
        """Says why no handler waits for a task; raises as `require_restate`."""
        self.require_restate()
        return self._absent

    def require_restate(self) -> None:
        """Raise the error of a Restate that gave no answer before."""
        if self.access.restate_away is not None:
            raise self.access.restate_away

    async def groups(self, topic: str) -> list[TopicGroup]:
        """The groups of a topic; raises as `require_kafka`."""
        self.require_kafka()
        return await self.sources.groups(topic)

    def require_kafka(self) -> None:
        """Raise the error of a Kafka that gave no answer before."""
        if self.access.kafka_away is not None:
            raise self.access.kafka_away

    async def guarded(self, name: str, findings: AsyncGenerator[Finding]) -> AsyncGenerator[Finding]:
        """The findings of a check; an error is one, and ends this check only."""
        async with aclosing(findings):
            try:
                async for finding in findings:
                    yield finding
            except KallbackError as error:
                for finding in self.access.failed(error, name):
                    yield finding
