"""A group member on aiokafka: its configuration, its records as ours, and where its partitions end."""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.batches.batch_screen import ScreenLimits, as_unreadable
from kallback.kafka.aiokafka.batches.fetch_screen import FetchScreen
from kallback.kafka.aiokafka.bootstrap import reachable_config
from kallback.kafka.aiokafka.membership.group_errors import raise_group_errors
from kallback.kafka.aiokafka.membership.static_membership import StaticMembership
from kallback.kafka.consumer import ConsumerOptions
from kallback.kafka.offsets.open_transactions import OpenTransactions, TransactionReport
from kallback.kafka.records import Record, TopicPartition, memory_of

from aiokafka import AIOKafkaConsumer  # isort: skip - the check comes first
from aiokafka import TopicPartition as ClientPartition  # isort: skip
from aiokafka import errors  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka import ConsumerRecord

    from kallback.kafka.aiokafka.membership.static_membership import OnFenced
    from kallback.settings import KafkaSettings

READ_AT_ONCE: Final = 100
"""Records that one step of the event loop decodes: with 500 headers each, which is allowed, it takes 30 ms."""
_NEVER_MS: Final = 2**31 - 1
TOPICS_REFRESH_MS: Final = 10_000
"""5 minutes by default: added partitions would be noticed as late."""
_NO_LEADER: Final = -1
_LOOK_INTERVAL_S: Final = 2.0
_LOOK_TIMEOUT_S: Final = 2.0  # commits wait for as long


async def new_member(
    settings: KafkaSettings, group: str, options: ConsumerOptions, on_fenced: OnFenced
) -> AIOKafkaConsumer:
    """Return a client for a group member, not started, whose fetches are screened; raises as `reachable_config`.

    `on_fenced` is called if another process takes over its instance id.
    """
    inner = AIOKafkaConsumer(**await reachable_config(settings), **member_config(group, options))
    screen_fetches(inner, settings, options, headers=True)
    raise_group_errors(inner._client)  # noqa: SLF001 - see there
    if options.group_instance_id is not None:
        StaticMembership(inner, group, options.group_instance_id, on_fenced)
    return inner


def member_config(group: str, options: ConsumerOptions) -> dict[str, Any]:
    """Return aiokafka's arguments of a group member, without those of the connection."""
    return fetch_config() | {
        "group_id": group,
        "group_instance_id": options.group_instance_id,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "session_timeout_ms": int(options.session_timeout * 1000),
        "heartbeat_interval_ms": int(min(3.0, options.session_timeout / 3) * 1000),
        "rebalance_timeout_ms": int((options.session_timeout + options.drain_timeout) * 1000),
        "max_poll_interval_ms": _NEVER_MS,
        "metadata_max_age_ms": TOPICS_REFRESH_MS,
    }


def fetch_config() -> dict[str, Any]:
    """Return the arguments that bound what a fetch brings; a first batch that is larger comes all the same."""
    return {
        "max_partition_fetch_bytes": 256 * 1024,  # 1 MiB by default: all partitions of a topic hold as much
        "fetch_max_bytes": 4 * 1024 * 1024,  # 50 MiB by default
        "check_crcs": False,  # done by `FetchScreen`
    }


def screen_fetches(
    inner: AIOKafkaConsumer,
    settings: KafkaSettings,
    options: ConsumerOptions,
    *,
    headers: bool,
    record_bytes: int | None = None,
) -> None:
    """Bound what the batches of a client unfold to, and the records of large ones; before it starts.

    Args:
        inner: the client.
        settings: say how large a record may be.
        options: say how large a batch and all of them together may be.
        headers: whether the bounds of the wire hold for the headers of records.
        record_bytes: larger records are dropped from large batches; None: none is.
    """
    bound = options.batch_bound(settings.max_request_bytes)
    limits = ScreenLimits(bound, record_bytes, headers=headers)
    FetchScreen(inner, limits, total=max(bound, options.buffer_bytes_total // 2))


def record_of(message: ConsumerRecord[bytes | None, bytes | None], epoch: int) -> Record:
    """Return aiokafka's record as ours."""
    headers = tuple(message.headers)
    return as_unreadable(
        Record(
            message.topic,
            message.partition,
            message.offset,
            message.timestamp,
            message.key,
            message.value,
            headers,
            epoch,
            size=memory_of(message.key, message.value, headers),
        )
    )


def ours(partition: ClientPartition) -> TopicPartition:
    """Return aiokafka's partition as ours."""
    return TopicPartition(partition.topic, partition.partition)


def client_partition(partition: TopicPartition) -> ClientPartition:
    """Return our partition as aiokafka's."""
    return ClientPartition(partition.topic, partition.partition)


def led(inner: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> list[ClientPartition]:
    """Return those that a broker leads, as far as the client knows.

    The others have neither a position nor an end, and aiokafka would wait for them with all answers.
    """
    cluster: Any = inner._client.cluster  # noqa: SLF001 - aiokafka has no public way to ask
    asked = [client_partition(each) for each in partitions]
    return [each for each in asked if cluster.leader_for_partition(each) != _NO_LEADER]


class AiokafkaWatermarks:
    """Where partitions end and where reading goes on: asked for by the consumer's timer, one small request at a time.

    Args:
        report: says which transactions hold records back.

    Attributes:
        next_look: when to look again, in the event loop's time.
        end_offsets: the ends, as far as known; not those of partitions without leader.
        positions: the next offsets that aiokafka reads.
        transactions: those that hold records back.
    """

    def __init__(self, report: TransactionReport | None = None) -> None:
        self.next_look = 0.0
        self.end_offsets: dict[TopicPartition, int] = {}
        self.positions: dict[TopicPartition, int] = {}
        self.transactions = OpenTransactions(report)

    async def look(self, inner: AIOKafkaConsumer, owned: Iterable[TopicPartition]) -> bool:
        """Ask; an answer that does not come leaves the old one. Returns whether Kafka has answered."""
        answered = False
        partitions = led(inner, owned)
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                positions = {ours(each): await inner.position(each) for each in partitions}
                end_offsets = await inner.end_offsets(partitions) if partitions else {}
                assigned = inner.assignment()  # aiokafka asserts it, and a rebalance may have come meanwhile
                log_end_offsets = {
                    ours(each): end
                    for each in partitions
                    if each in assigned and (end := inner.highwater(each)) is not None
                }
        except (errors.KafkaError, TimeoutError):
            pass  # Kafka is unavailable, or a rebalance came between
        else:
            self.positions = positions
            self.end_offsets = {ours(each): end for each, end in end_offsets.items()}
            self._look_for_transactions(log_end_offsets)
            answered = bool(partitions)
        self.next_look = asyncio.get_running_loop().time() + _LOOK_INTERVAL_S
        return answered

    def _look_for_transactions(self, log_end_offsets: Mapping[TopicPartition, int]) -> None:
        """Look at what is read to the last stable offset: to the end for readers of committed records."""
        stable = {each: end for each, end in self.end_offsets.items() if self.positions.get(each, -1) >= end}
        self.transactions.look(stable, log_end_offsets, asyncio.get_running_loop().time())

    def reached(self, epochs: Mapping[TopicPartition, int]) -> dict[TopicPartition, tuple[int, int]]:
        """Return epoch and end of the partitions that are read to their ends, behind transaction markers.

        Args:
            epochs: as they were before the look.
        """
        return {
            each: (epochs[each], position)
            for each, position in self.positions.items()
            if each in epochs and position >= self.end_offsets.get(each, position + 1)
        }
