"""How partitions start: what a group has committed, metadata included, and where logs begin and end.

A client of its own asks, which never joins the group, because the question is asked inside a rebalance callback:
nothing may be called there on the consumer that runs it. It lives for one question, as they are as rare as rebalances.

It is a consumer and not librdkafka's admin client: that one ends the process (a null pointer or an assertion, in
librdkafka 2.16) when the group's coordinator moves while it is asked.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.confluent.client import ClientErrors, build, confluent_config, log
from kallback.kafka.confluent.membership.group_member import client_partition, ours
from kallback.kafka.offsets.history import (
    RECENT_S,
    UNKNOWN_START,
    FirstRead,
    PartitionStart,
    start_without_leader,
)
from kallback.kafka.offsets.partition_metadata import found_commit
from kallback.protocol.errors import KallbackError

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection

    from kallback.kafka.consumer import ConsumerOptions
    from kallback.kafka.records import TopicPartition
    from kallback.settings import KafkaSettings

_PATIENCE: Final = 10.0
_PAUSE: Final = 0.2


def partition_starts(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition], options: ConsumerOptions
) -> dict[TopicPartition, PartitionStart]:
    """Return how partitions start, if the options need it; blocks.

    Without an answer, work may run twice and none is lost; but the history must be known.

    Raises:
        KafkaException: Kafka does not answer in time, and the history is to be marked.
        KallbackError: there is no access token, and the history is to be marked.
    """
    if not partitions or not options.asks_for_starts:
        return {}
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _asked(settings, group, partitions, deadline, history_counts=options.mark_history)
        except (KafkaException, KallbackError) as error:  # the second: there is no access token
            if time.monotonic() + _PAUSE < deadline:
                time.sleep(_PAUSE)  # such as a coordinator that is moving
            elif options.mark_history:
                raise
            else:
                log.warning("commit metadata of earlier owners is not known, work may run twice", reason=str(error))
                return dict.fromkeys(partitions, UNKNOWN_START)


def committed_offsets(
    consumer: Consumer, partitions: Collection[TopicPartition], patience: float
) -> dict[TopicPartition, int | None]:
    """Return what a consumer's group has committed, None for nothing; blocks for at most `patience` seconds.

    Raises:
        KafkaException: there is no answer in time.
    """
    answers = _without_errors(consumer.committed([client_partition(each) for each in partitions], patience))
    return {ours(each): each.offset if each.offset >= 0 else None for each in answers}


def _asked(
    settings: KafkaSettings,
    group: str,
    partitions: Collection[TopicPartition],
    deadline: float,
    *,
    history_counts: bool,
) -> dict[TopicPartition, PartitionStart]:
    errors = ClientErrors(settings, quiet=True)
    own: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "error_cb": errors,
        "isolation.level": "read_uncommitted",  # ends are those of logs: open transactions do not hide records
    }
    client = build(Consumer, confluent_config(settings, own))

    def left() -> float:
        return max(0.05, deadline - time.monotonic())

    def offsets(at: int, of: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Offsets at a time in milliseconds, or at one of the special values that librdkafka takes in its place."""
        asked = [ClientPartition(each.topic, each.partition, at) for each in of]
        answers = client.offsets_for_times(asked, timeout=left()) if asked else []
        return {ours(each): each.offset for each in _without_errors(answers)}

    try:
        committed = _without_errors(client.committed([client_partition(each) for each in partitions], left()))
        leaderless = _leaderless(client, partitions, left())
        led = [each for each in partitions if each not in leaderless]
        begins = offsets(OFFSET_BEGINNING, led)
        log_end_offsets = offsets(OFFSET_END, led)  # after the commits: an end does not go back
        commits = {ours(each): found_commit(each.offset, _metadata(each)) for each in committed if each.offset >= 0}
        starts = {each: PartitionStart(commits.get(each), begins[each], end) for each, end in log_end_offsets.items()}
        first_reads = [each for each, start in starts.items() if start.first_read is FirstRead.NO_COMMIT]
        for each, offset in offsets(int((time.time() - RECENT_S) * 1000), first_reads).items():
            starts[each] = starts[each]._replace(recent_begin=offset)
    finally:
        client.close()
    for each in leaderless:
        start = start_without_leader(commits.get(each), history_counts=history_counts)
        if start is None:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        starts[each] = start
    return starts


def _leaderless(client: Consumer, partitions: Collection[TopicPartition], patience: float) -> set[TopicPartition]:
    """Return those that no broker leads: librdkafka answers no question about offsets where one of them is in it."""
    known = {name: client.list_topics(name, patience).topics[name] for name in {each.topic for each in partitions}}
    return {
        each
        for each in partitions
        if (found := known[each.topic].partitions.get(each.partition)) is not None and found.leader < 0
    }


def _without_errors(answers: list[ClientPartition]) -> list[ClientPartition]:
    for each in answers:
        if each.error is not None:
            raise KafkaException(each.error)
    return answers


def _metadata(answer: ClientPartition) -> str:
    """Return the metadata; what is not ours may lack the zero at its end, without which the client reads too far."""
    try:
        return answer.metadata or ""
    except UnicodeDecodeError:
        return ""
