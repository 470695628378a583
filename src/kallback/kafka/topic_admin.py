"""Topics are made on purpose, and looked for at start: what is wanted, and what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.kafka.groups import TopicGroup
from kallback.kafka.topics import Hidden, Missing, TopicFinding, TopicSpec
from kallback.protocol.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kallback.kafka.records import TopicPartition
    from kallback.kafka.transactions import PartitionTransaction
    from kallback.settings import KafkaSettings


async def create_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """Make the topics that do not exist; compare those that do. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: creating or describing is not allowed.
        ConfigurationError: Kafka refuses a name or an option.
    """
    from kallback.kafka.confluent import topics as confluent_topics  # noqa: PLC0415 - only who creates topics needs the client

    return await confluent_topics.create_topics(settings, specs)


async def compare_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """Compare topics with what is wanted, and change nothing. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: describing is not allowed.
    """
    from kallback.kafka.confluent import topics as confluent_topics  # noqa: PLC0415 - see create_topics

    return await confluent_topics.compare_topics(settings, specs)


async def find_missing(settings: KafkaSettings, names: Iterable[str]) -> list[Missing | Hidden]:
    """Return those of these topics that do not exist, and those that this process may not look at. Creates none.

    It is one question for all of them, however many: names can be those that someone else has chosen. Needs
    confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: the login is refused.
    """
    from kallback.kafka.confluent import topics as confluent_topics  # noqa: PLC0415 - see create_topics

    return await confluent_topics.find_missing(settings, sorted(set(names)))


async def groups_of(
    settings: KafkaSettings, topics: Sequence[str], end_offsets: Mapping[TopicPartition, int] | None = None
) -> list[TopicGroup]:
    """Return the consumer groups that read any of these topics, of the first thousand by name. Needs confluent-kafka.

    Where the topics end is asked, unless the caller knows it.

    Raises:
        MissingTopicError: a topic does not exist.
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: looking is not allowed.
    """
    from kallback.kafka.confluent import groups as confluent_groups  # noqa: PLC0415 - see create_topics

    return await confluent_groups.groups_of(settings, topics, end_offsets)


async def sees_groups(settings: KafkaSettings) -> bool:
    """Whether this user may look at consumer groups whatever their names; others are not listed. Needs confluent-kafka.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: the login is refused.
    """
    from kallback.kafka.confluent import groups as confluent_groups  # noqa: PLC0415 - see create_topics

    return await confluent_groups.sees_groups(settings)


async def open_transactions(settings: KafkaSettings, topics: Sequence[str]) -> list[PartitionTransaction]:
    """Return the transactions that producers have open in topics now. Needs aiokafka, and READ on the topics.

    Names of producers are those that this user may see (DESCRIBE on their transactional ids).

    Raises:
        KafkaUnavailableError: no broker answered, or not each.
        AccessDeniedError: looking is not allowed.
        MissingExtraError: aiokafka is not installed.
    """
    from kallback.kafka.aiokafka import transactions  # noqa: PLC0415 - see __init__

    return await transactions.open_transactions(settings, topics)


async def list_topics(settings: KafkaSettings) -> frozenset[str]:
    """The names of all topics that this process may see, with whichever client is installed. It creates none.

    Raises:
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: looking is not allowed.
    """
    try:
        from kallback.kafka.confluent.topics import list_topics as names  # noqa: PLC0415 - see __init__
    except MissingExtraError:
        from kallback.kafka.aiokafka.topics import list_topics as names  # noqa: PLC0415 - see __init__
    return await names(settings)


async def check_topics(settings: KafkaSettings, names: Iterable[str]) -> None:
    """Make sure that topics exist, with whichever client is installed.

    Raises:
        MissingTopicError: one does not exist; the sentence names the command that makes it.
        KafkaUnavailableError: no broker answered.
        AccessDeniedError: looking is not allowed.
    """
    try:
        from kallback.kafka.confluent.topics import check_topics as check  # noqa: PLC0415 - see __init__
    except MissingExtraError:
        from kallback.kafka.aiokafka.topics import check_topics as check  # noqa: PLC0415 - see __init__
    await check(settings, list(names))
