"""Kafka hides what a user may not look at: topics and consumer groups are then missing from its lists, without a word.

What is missing is asked for by itself, which Kafka refuses: so the doctor says that a permission is missing, and not
that there is no topic, or that nothing reads it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kallback import kafka
from kallback.kafka import TopicGroup
from kallback.operations.readers import HIDDEN_GROUPS
from kallback.protocol import AccessDeniedError, MissingTopicError
from kallback.settings import Settings, Topics


def needed_topics(topics: Topics) -> tuple[str, ...]:
    """The topics of an environment without which tasks do not end; that of outcomes is optional."""
    return (*topics.all_results, topics.progress, topics.control, topics.dead_letters)


async def seen_topics(settings: Settings) -> frozenset[str]:
    """The names of all topics that this user sees.

    Raises:
        AccessDeniedError: one of kallback's own may be there, and is hidden.
        KafkaUnavailableError: no broker answered.
    """
    seen = await kafka.list_topics(settings.kafka)
    await _check_hidden(settings, [each for each in needed_topics(settings.topics) if each not in seen])
    return seen


async def _check_hidden(settings: Settings, names: Iterable[str]) -> None:
    refused = dict[str, str]()
    for name in names:
        try:
            await kafka.groups_of(settings.kafka, [name])  # `check_topics` waits for those that were just created
        except MissingTopicError:
            continue
        except AccessDeniedError as error:
            refused[repr(name)] = str(error)
    if refused:
        first, sentence = next(iter(refused.items()))
        raise AccessDeniedError(sentence.replace(first, ", ".join(refused), 1))


async def groups_of(settings: Settings, topic: str) -> list[TopicGroup]:
    """The groups that read a topic.

    Raises:
        AccessDeniedError: none with members is seen, and others may be hidden.
        MissingTopicError, KafkaUnavailableError: of Kafka.
    """
    found = await kafka.groups_of(settings.kafka, [topic])
    if not any(group.members for group in found) and not await kafka.sees_groups(settings.kafka):
        raise AccessDeniedError(HIDDEN_GROUPS)
    return found
