"""Reads past records that aiokafka cannot decode: `getmany`, and the batch by itself where that fails.

When `getmany` fails over the content of a batch, nothing of it is consumed: aiokafka's position is unchanged, and the
next call fails in the same way, without a word of which partition it is. Then all are fetched once more, the bytes of
the damaged one are taken from the response and decoded here, and aiokafka goes on behind that batch. These bytes come
through `AIOKafkaClient.send`, as `FetchScreen` leaves them.

`getmany` takes records of one partition after the other. If it fails at one, those of the partitions before it are
lost, and their positions are behind them. So positions are noted before, and partitions go back to them.

Cancellation: a partition is sought past a batch in the same step that returns its records, so none is lost.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportUnknownParameterType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from kallback.kafka.aiokafka.batches.fetch_screen import FETCH_API_KEY
from kallback.kafka.aiokafka.batches.record_batches import FetchedBytes, decode_batches
from kallback.kafka.aiokafka.membership.group_member import ours, record_of
from kallback.kafka.records import Record, TopicPartition
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first
from aiokafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence

    Messages = dict[ClientPartition, list[Any]]

log: Final = named_log("kallback.kafka")

_FETCH_TIMEOUT_S: Final = 5.0
_NOWHERE: Final = ClientPartition("", -1)
"""A partition that has no records: `getmany` of none at all reads every one that is assigned."""


async def read_records(
    inner: AIOKafkaConsumer, partitions: Collection[ClientPartition], *, timeout_ms: int, limit: int
) -> dict[TopicPartition, list[Record]]:
    """Return the next records, of epoch 0; a record that cannot be decoded is unreadable.

    Raises:
        errors.KafkaError: as `getmany`.
    """
    wanted = partitions or inner.assignment()
    before = _places(inner, wanted)
    try:
        reading = inner.getmany(*(before or [_NOWHERE]), timeout_ms=timeout_ms, max_records=limit)
        found = await _unless_more_can_be_read(reading, inner, [each for each in wanted if each not in before])
    except BaseException as error:
        _go_back(inner, before)
        if not isinstance(error, Exception) or _is_of_the_client(error):
            raise
        return await _read_damaged(inner, wanted, error)
    return {ours(each): [record_of(message, 0) for message in messages] for each, messages in found.items()}


def _is_of_the_client(error: Exception) -> bool:
    """Whether it is not about the content of a batch; decoders and codecs raise errors of their own."""
    return isinstance(error, errors.KafkaError) and not isinstance(error, errors.CorruptRecordException)


def _places(inner: AIOKafkaConsumer, partitions: Iterable[ClientPartition]) -> dict[ClientPartition, int]:
    """Return where partitions are read; without those that are not assigned, or have no position yet."""
    subscription: Any = inner._subscription.subscription  # noqa: SLF001 - `position` waits, for as long as there is none
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    states = {each: assignment.state_value(each) for each in partitions if each in assignment.tps}
    return {each: state.position for each, state in states.items() if state is not None and state.has_valid_position}


def _go_back(inner: AIOKafkaConsumer, places: Mapping[ClientPartition, int]) -> None:
    """Read again what was taken and not returned."""
    for partition, position in _places(inner, places).items():
        if position > places[partition]:
            inner.seek(partition, places[partition])


async def _unless_more_can_be_read(
    reading: Coroutine[Any, Any, Messages], inner: AIOKafkaConsumer, without_position: Sequence[ClientPartition]
) -> Messages:
    """Read; end without a record as soon as one of the assigned partitions that have no position yet has one."""
    waiting = inner.assignment().intersection(without_position)
    if not waiting:
        return await reading
    task = asyncio.create_task(reading)
    positions = [asyncio.create_task(inner.position(each)) for each in waiting]
    try:
        await asyncio.wait([task, *positions], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else {}
    finally:
        for each in (task, *positions):
            each.cancel()
        await asyncio.gather(task, *positions, return_exceptions=True)


async def _read_damaged(
    inner: AIOKafkaConsumer, partitions: Collection[ClientPartition], error: Exception
) -> dict[TopicPartition, list[Record]]:
    """Find the partition that cannot be decoded, return the records of its batch, and go on behind it."""
    positions = await _positions(inner, partitions)
    damaged = await _damaged(inner, positions) if positions else None
    if damaged is None:
        raise error
    partition, records = damaged
    log.warning("a record cannot be decoded, it is unreadable", partition=str(partition), reason=str(error))
    inner.seek(partition, records[-1].next_offset)
    return {ours(partition): records}


async def _positions(inner: AIOKafkaConsumer, partitions: Collection[ClientPartition]) -> dict[ClientPartition, int]:
    """Return where partitions are read: those that have a position now, as the one of a fetched batch does.

    aiokafka waits for the others, for as long as one has no leader.
    """
    asked = {asyncio.create_task(inner.position(each)): each for each in partitions}
    if not asked:
        return {}
    answered, waiting = await asyncio.wait(asked, timeout=0)
    for each in waiting:
        each.cancel()
    return {asked[each]: each.result() for each in answered if each.exception() is None}


async def _damaged(
    inner: AIOKafkaConsumer, positions: Mapping[ClientPartition, int]
) -> tuple[ClientPartition, list[Record]] | None:
    """Have aiokafka fetch partitions again; return the first one that cannot be decoded; None without one in time.

    All are fetched together: Kafka answers for an idle one when it has something new, or at the end of a timeout.
    """
    client: Any = inner._client  # noqa: SLF001 - as in `FetchScreen`
    send = client.send
    found: asyncio.Future[tuple[ClientPartition, list[Record]]] = asyncio.get_running_loop().create_future()

    async def watching_send(*args: Any, **kwargs: Any) -> Any:
        response = await send(*args, **kwargs)
        if getattr(response, "API_KEY", None) == FETCH_API_KEY and not found.done():
            damaged = _damaged_of(response, positions)
            if damaged is not None:
                found.set_result(damaged)
        return response

    client.send = watching_send
    try:
        for partition, position in positions.items():
            inner.seek(partition, position)
        async with asyncio.timeout(_FETCH_TIMEOUT_S):
            return await found
    except TimeoutError:
        return None
    finally:
        client.send = send


def _damaged_of(response: Any, positions: Mapping[ClientPartition, int]) -> tuple[ClientPartition, list[Record]] | None:
    """Return the first partition of a response whose batches cannot be decoded, with their records."""
    for topic, parts in response.topics:
        for number, *fields, data in parts:
            partition = ClientPartition(topic, number)
            if not data or partition not in positions:
                continue
            fetched = FetchedBytes(bytes(data), _aborted(fields))
            records = decode_batches(fetched, ours(partition), positions[partition])
            if any(each.unreadable is not None for each in records):
                return partition, records
    return None


def _aborted(fields: list[Any]) -> list[tuple[int, int]]:
    """Return the aborted transactions of a response: the one field that is a list, at another place in each version."""
    return [(each[0], each[1]) for found in fields if isinstance(found, list | tuple) for each in found]
