"""Readers of a time ask the broker for offsets; a partition that it cannot search is read from its beginning."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, errors
from aiokafka import TopicPartition as AiokafkaPartition
from aiokafka.structs import OffsetAndTimestamp
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as ConfluentPartition

from kallback.kafka.aiokafka import reader
from kallback.kafka.confluent import scan

_AT = 1_700_000_000_000
_PARTITIONS = range(3)
_FOUND = 7


class AiokafkaBroker:
    """Partition 0 has a record of the time, partition 1 has none, partition 2 is answered with an error."""

    def __init__(self, error: type[errors.KafkaError]) -> None:
        self._error = error

    async def offsets_for_times(
        self, times: dict[AiokafkaPartition, int]
    ) -> dict[AiokafkaPartition, OffsetAndTimestamp | None]:
        """Answer for all, or fail for all."""
        if any(each.partition == 2 for each in times):
            raise self._error
        return {each: None if each.partition else OffsetAndTimestamp(_FOUND, at) for each, at in times.items()}


class ConfluentBroker:
    """The same."""

    def __init__(self, code: int, *, raises: bool) -> None:
        self._error = KafkaError(code)
        self._raises = raises

    def offsets_for_times(self, times: list[ConfluentPartition], _timeout: float) -> list[Any]:
        """Answer; the error is raised, or stands in the answer."""
        if self._raises and any(each.partition == 2 for each in times):
            raise KafkaException(self._error)
        return [self._answer(each) for each in times]

    def _answer(self, asked: ConfluentPartition) -> Any:
        class Answer:
            partition = asked.partition
            offset = _FOUND if asked.partition == 0 else -1
            error = self._error if asked.partition == 2 else None

        return Answer


async def _ask_aiokafka(error: type[errors.KafkaError]) -> dict[int, int | None]:
    times = {AiokafkaPartition("control", number): _AT for number in _PARTITIONS}
    found = await reader.offsets_at(cast("AIOKafkaConsumer", AiokafkaBroker(error)), times)
    return {each.partition: at for each, at in found.items()}


def _ask_confluent(code: int, *, raises: bool = True) -> dict[int, int | None]:
    times = [ConfluentPartition("control", number, _AT) for number in _PARTITIONS]
    return scan.offsets_at(cast("Consumer", ConfluentBroker(code, raises=raises)), times, 1.0)


@pytest.mark.parametrize("error", [errors.UnknownError, errors.CorruptRecordException])
async def test_aiokafka_leaves_out_what_the_broker_cannot_search(
    error: type[errors.KafkaError], caplog: pytest.LogCaptureFixture
) -> None:
    """The other partitions begin at the time, and one line says which does not."""
    assert await _ask_aiokafka(error) == {0: _FOUND, 1: None}
    (line,) = [each for each in caplog.messages if "cannot search a partition by time" in each]
    assert "control[2]" in line


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize("code", [KafkaError.UNKNOWN, KafkaError.INVALID_MSG])
def test_librdkafka_leaves_out_what_the_broker_cannot_search(
    code: int, *, raises: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The other partitions begin at the time, and one line says which does not."""
    assert _ask_confluent(code, raises=raises) == {0: _FOUND, 1: None}
    (line,) = [each for each in caplog.messages if "cannot search a partition by time" in each]
    assert "control[2]" in line


async def test_aiokafka_raises_what_has_another_remedy() -> None:
    """Missing permissions are not answered with a longer read."""
    with pytest.raises(errors.TopicAuthorizationFailedError):
        await _ask_aiokafka(errors.TopicAuthorizationFailedError)


@pytest.mark.parametrize("raises", [True, False])
def test_librdkafka_raises_what_has_another_remedy(*, raises: bool) -> None:
    """Missing permissions are not answered with a longer read, nor with an offset."""
    with pytest.raises(KafkaException):
        _ask_confluent(KafkaError.TOPIC_AUTHORIZATION_FAILED, raises=raises)
