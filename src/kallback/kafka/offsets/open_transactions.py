"""Notices partitions whose records are held back by an open transaction.

A member reads committed records only: up to the last stable offset, which is the first offset of the oldest transaction
that is neither committed nor aborted. What other producers have written behind it waits, too. Kafka aborts a
transaction after its timeout (60 s by default, 15 minutes at most). Offsets and the time come from outside. One thread
at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kallback.documentation import page_address
from kallback.kafka.group_status import OpenTransaction
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kallback.kafka.records import TopicPartition
    from kallback.kafka.transactions import PartitionTransaction

log: Final = named_log("kallback.kafka")

NOTICED_AFTER_S: Final = 10.0
"""Seconds without a change of the last stable offset; producers that work commit sooner."""


class TransactionReport(Protocol):
    """Says that transactions hold records back. It may do so later, in the order of the calls."""

    def begun(self, found: Mapping[TopicPartition, OpenTransaction]) -> None:
        """Transactions have been noticed."""
        ...

    def ended(self, partition: TopicPartition) -> None:
        """Nothing holds back the records of a partition any more."""
        ...


class LogReport:
    """Logs what is known without asking anybody."""

    def begun(self, found: Mapping[TopicPartition, OpenTransaction]) -> None:
        """Log a line for each partition."""
        for partition, it in found.items():
            log_open_transaction(partition, it)

    def ended(self, partition: TopicPartition) -> None:
        """Log a line."""
        log.info("the transaction that held records back has ended", partition=str(partition))


def log_open_transaction(
    partition: TopicPartition, found: OpenTransaction, producer: PartitionTransaction | None = None
) -> None:
    """Log that a transaction holds records back, with its producer as far as Kafka tells who it is."""
    named: dict[str, object] = {} if producer is None else {"producer_id": producer.producer_id}
    if producer is not None and producer.transactional_id is not None:
        named["transactional_id"] = producer.transactional_id
    log.warning(
        "an open transaction holds records back: nothing behind it is read until it ends",
        help=page_address("observability", "open-transactions"),
        partition=str(partition),
        last_stable_offset=found.last_stable_offset,
        offsets_behind=found.offsets_behind,
        seconds=round(found.seconds),
        **named,
    )


class OpenTransactions:
    """Remembers since when the last stable offset of each partition lies below its end and does not change.

    Args:
        report: says which are noticed, and which have ended.

    Attributes:
        noticed: those for which that was long enough; replaced as a whole, so any thread may read it.
    """

    def __init__(self, report: TransactionReport | None = None) -> None:
        self._tell: TransactionReport = report or LogReport()
        self.noticed: Mapping[TopicPartition, OpenTransaction] = {}
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def look(
        self, stable_offsets: Mapping[TopicPartition, int], end_offsets: Mapping[TopicPartition, int], now: float
    ) -> None:
        """Take note of offsets.

        Args:
            stable_offsets: last stable offsets of the partitions that have been read to there.
            end_offsets: the ends of the logs, of committed records or not, as far as known.
            now: when they were so, in monotonic seconds.
        """
        since: dict[TopicPartition, tuple[int, float]] = {}
        noticed: dict[TopicPartition, OpenTransaction] = {}
        for partition, stable in stable_offsets.items():
            end = end_offsets.get(partition, stable)
            if end <= stable:
                continue
            before, first_seen = self._since.get(partition, (stable, now))
            since[partition] = (stable, first_seen if before == stable else now)
            seconds = now - since[partition][1]
            if seconds >= NOTICED_AFTER_S:
                noticed[partition] = OpenTransaction(stable, end - stable, seconds)
        self._report(noticed)
        self._since, self.noticed = since, noticed

    def _report(self, noticed: Mapping[TopicPartition, OpenTransaction]) -> None:
        begun = {
            partition: found
            for partition, found in noticed.items()
            if (known := self.noticed.get(partition)) is None or known.last_stable_offset != found.last_stable_offset
        }
        if begun:
            self._tell.begun(begun)
        for partition in self.noticed.keys() - noticed.keys():
            self._tell.ended(partition)
