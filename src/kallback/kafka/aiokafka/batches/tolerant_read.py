"""Reads past records that aiokafka cannot decode: `getmany`, and the batch by itself where that fails.

When `getmany` fails over the content of a batch, nothing of it is consumed: aiokafka's position is unchanged, and the
next call fails in the same way, without a word of which partition it is. Then all are fetched once more, the bytes of
the damaged one are taken from the response and decoded here, and aiokafka goes on behind that batch. These bytes come
through `AIOKafkaClient.send`, as `FetchScreen` leaves them.

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
from kallback.kafka.aiokafka.group_member import ours, record_of
from kallback.kafka.records import Record, TopicPartition
from kallback.settings import named_log

from aiokafka import AIOKafkaConsumer, errors  # isort: skip - the check comes first
from aiokafka import TopicPartition as ClientPartition  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

log: Final = named_log("kallback.kafka")

_FETCH_TIMEOUT_S: Final = 5.0


async def read_records(
    inner: AIOKafkaConsumer, partitions: Collection[ClientPartition], *, timeout_ms: int, limit: int
) -> dict[TopicPartition, list[Record]]:
    """Return the next records, of epoch 0; a record that cannot be decoded is unreadable.

    Raises:
        errors.KafkaError: as `getmany`.
    """
    try:
        found = await inner.getmany(*partitions, timeout_ms=timeout_ms, max_records=limit)
    except errors.CorruptRecordException as error:
        return await _read_damaged(inner, partitions or inner.assignment(), error)
    except errors.KafkaError:
        raise
    except Exception as error:  # noqa: BLE001 - decoders and codecs raise errors of their own
        return await _read_damaged(inner, partitions or inner.assignment(), error)
    return {ours(each): [record_of(message, 0) for message in messages] for each, messages in found.items()}


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
