"""Reads past records that aiokafka cannot decode: `getmany`, and the batch by itself where that fails.

When `getmany` fails over the content of a batch, nothing of it is consumed: aiokafka's position is unchanged, and the
next call fails in the same way. Then the partition is fetched once more, its bytes are taken from the response and
decoded here, and aiokafka goes on behind that batch. These bytes come through `AIOKafkaClient.send`, as `FetchScreen`
leaves them.

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
    from collections.abc import Collection

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
    for partition in partitions:
        position = await inner.position(partition)
        fetched = await _fetched_bytes(inner, partition, position)
        records = decode_batches(fetched, ours(partition), position)
        if any(each.unreadable is not None for each in records):
            log.warning("a record cannot be decoded, it is unreadable", partition=str(partition), reason=str(error))
            inner.seek(partition, records[-1].next_offset)
            return {ours(partition): records}
    raise error


async def _fetched_bytes(inner: AIOKafkaConsumer, partition: ClientPartition, position: int) -> FetchedBytes:
    """Have aiokafka fetch a partition again, and return the bytes of the response; empty without one in time."""
    client: Any = inner._client  # noqa: SLF001 - as in `FetchScreen`
    send = client.send
    fetched: asyncio.Future[FetchedBytes] = asyncio.get_running_loop().create_future()

    async def watching_send(*args: Any, **kwargs: Any) -> Any:
        response = await send(*args, **kwargs)
        if getattr(response, "API_KEY", None) == FETCH_API_KEY and not fetched.done():
            for topic, parts in response.topics:
                for number, *fields, data in parts:
                    if (topic, number) == tuple(partition) and data:
                        fetched.set_result(FetchedBytes(bytes(data), _aborted(fields)))
        return response

    client.send = watching_send
    try:
        inner.seek(partition, position)
        async with asyncio.timeout(_FETCH_TIMEOUT_S):
            return await fetched
    except TimeoutError:
        return FetchedBytes(b"", ())
    finally:
        client.send = send


def _aborted(fields: list[Any]) -> list[tuple[int, int]]:
    """Return the aborted transactions of a response: the one field that is a list, at another place in each version."""
    return [(each[0], each[1]) for found in fields if isinstance(found, list | tuple) for each in found]
