"""Ends are compared with what was known when Kafka was asked for them, not with what is known later."""

from __future__ import annotations

from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from kallback.kafka import TopicPartition
from kallback.kafka.confluent.membership.watermarks import ASK, ConfluentWatermarks
from kallback.kafka.group_status import OpenTransaction
from kallback.kafka.offsets.open_transactions import OpenTransactions

A = TopicPartition("t", 0)


class FakeClient:
    """librdkafka's part: what fetches told, and what Kafka answers; None: nothing in time."""

    def __init__(self) -> None:
        self.log_end = 0
        self.stable: int | None = 0

    def get_watermark_offsets(self, _: ClientPartition, *, cached: bool) -> tuple[int, int]:
        """Return what the last fetch told."""
        assert cached
        return 0, self.log_end

    def offsets_for_times(self, asked: list[ClientPartition], *, timeout: float) -> list[ClientPartition]:
        """Answer, or time out."""
        if self.stable is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer in {timeout} s"))
        return [ClientPartition(each.topic, each.partition, self.stable) for each in asked]


def looked(client: FakeClient, seen: list[tuple[int, int | None]]) -> OpenTransactions:
    """Look once for each (end of the log, answer), as long after one another as Kafka is asked."""
    watermarks, transactions = ConfluentWatermarks(cast("Any", client)), OpenTransactions()
    for number, (client.log_end, client.stable) in enumerate(seen):
        watermarks.look(number * ASK, [A], [A])
        known = watermarks.stable_offsets
        transactions.look(known.stable, known.log_end_offsets, known.at)
    return transactions


def test_an_offset_that_stays_below_the_end_is_an_open_transaction() -> None:
    """For as long as Kafka says so."""
    transactions = looked(FakeClient(), [(9, 7), (11, 7), (12, 7)])
    assert transactions.noticed == {A: OpenTransaction(7, 5, 2 * ASK)}


def test_without_answers_no_transaction_is_open() -> None:
    """A client that unfolds a large batch has no time to ask, while its fetches tell how the log grows."""
    transactions = looked(FakeClient(), [(7, 7), (9, None), (14, None), (20, None), (31, None)])
    assert transactions.noticed == {}


def test_answers_that_stay_away_end_no_transaction() -> None:
    """It is not forgotten, and its time does not go on."""
    transactions = looked(FakeClient(), [(9, 7), (11, 7), (12, 7), (15, None), (18, None)])
    assert transactions.noticed == {A: OpenTransaction(7, 5, 2 * ASK)}


def test_a_partition_that_is_read_again_has_no_open_transaction() -> None:
    """Its records come."""
    client = FakeClient()
    watermarks = ConfluentWatermarks(cast("Any", client))
    client.log_end, client.stable = 9, 7
    watermarks.look(0.0, [A], [A])
    watermarks.look(ASK, [A], [])
    assert watermarks.stable_offsets.stable == {}
