"""What a run reads and writes with, and the topics that it needs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kallback.kafka import Producer, TopicGroup, TopicReader, TopicSpec, check_topics, create_topics, groups_of
from kallback.kafka import list_topics as topics_of
from kallback.protocol import AccessDeniedError, ConfigurationError, KafkaUnavailableError
from kallback.settings import named_log
from kallback.wire_check.options import CheckedTopics
from kallback.wire_check.worker_groups import running_groups
from kallback.wire_check.worker_process import CheckedProcess

if TYPE_CHECKING:
    from kallback.kafka import KafkaClients
    from kallback.settings import KafkaSettings

log: Final = named_log("kallback.wire_check")
_DAY_MS: Final = "86400000"


@dataclass(frozen=True, slots=True)
class CheckConnections:
    """What a run reads and writes with; all of it is started.

    Attributes:
        producer: for tasks and cancels.
        results: reads the reply topic.
        progress: reads the progress topic.
        groups: who reads the topic of tasks; None: unknown.
        earlier: offsets that the topic of tasks had before the worker was started; 0: it never held a record.
        process: the worker, if it may be started; None: it runs elsewhere.
    """

    producer: Producer
    results: TopicReader
    progress: TopicReader
    groups: Callable[[], Awaitable[Sequence[TopicGroup] | None]]
    earlier: int = 0
    process: CheckedProcess | None = None


@asynccontextmanager
async def open_connections(
    clients: KafkaClients, settings: KafkaSettings, topics: CheckedTopics, process: CheckedProcess | None
) -> AsyncGenerator[CheckConnections]:
    """Connect, and start the worker if that is to be done; the end closes all and kills the worker.

    Raises:
        KafkaUnavailableError: no broker answered.
        ConfigurationError: the worker's command cannot be started.
    """
    now_ms = int(time.time() * 1000)  # what is there already is of other runs

    async def groups() -> Sequence[TopicGroup] | None:
        return await _groups(settings, topics.tasks)

    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(clients.producer())
        results = await stack.enter_async_context(clients.reader(topics.results, now_ms))
        progress = await stack.enter_async_context(clients.reader(topics.progress, now_ms))
        earlier = await _offsets_of(clients, topics.tasks)
        if process is not None:
            if others := running_groups(await groups()):
                log.warning(
                    "workers read this topic already, or were killed some seconds ago: they may take tasks in place of "
                    "the one that --command starts, so stop them and check again",
                    groups=others,
                )
            stack.push_async_callback(process.kill)
            await process.start()
        yield CheckConnections(producer, results, progress, groups, earlier, process)


async def _offsets_of(clients: KafkaClients, topic: str) -> int:
    asked = clients.end_offsets()
    try:
        return sum((await asked.of([topic], uncommitted=True)).values())
    finally:
        await asked.stop()


async def prepare_topics(
    settings: KafkaSettings, topics: CheckedTopics, made: Sequence[str], own: Sequence[str]
) -> CheckedTopics:
    """Make the topics of the check itself, and look at the others; returns them without those that are optional.

    Args:
        settings: of the cluster.
        topics: those of a run.
        made: names of topics that the check makes.
        own: names of those that it makes if none are given.

    Raises:
        MissingTopicError: one does not exist.
        ConfigurationError: a bridge reads the reply topic: it would dead-letter the answers.
    """
    kept = {"cleanup.policy": "delete", "retention.ms": _DAY_MS}
    await create_topics(settings, [TopicSpec(name, partitions=1, config=kept) for name in made])
    await check_topics(settings, [topics.tasks, topics.results, topics.progress])
    for topic in {topics.results, topics.progress} - set(made):
        readers = [group.name for group in await _groups(settings, topic) or () if group.members]
        if readers:
            raise ConfigurationError(
                f"group {readers[0]} reads {topic}, and bridges dead-letter answers to tasks of this check: leave "
                "--results and --progress out, and the tasks name topics that the check makes. If your worker answers "
                f"to certain topics only, have it allow these: {' and '.join(own)}"
            )
    known = await topics_of(settings)
    return topics if topics.control in known else replace(topics, control="")


async def _groups(settings: KafkaSettings, topic: str) -> Sequence[TopicGroup] | None:
    try:
        return await groups_of(settings, [topic])
    except (AccessDeniedError, KafkaUnavailableError):
        return None
