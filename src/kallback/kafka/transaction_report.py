"""Says in the log who holds records back with an open transaction: the producer, as far as Kafka tells.

Kafka is asked as `kallback doctor` asks it, in a thread of its own, because members must not wait for the answer. It
tells the producer's number to those who may read the topic, and its `transactional.id` to those who may see that. Where
it tells nothing (an old broker, a missing permission, no answer in time), the line has neither.

Ownership: a member owns one; the thread ends by itself when all is said, and holds up no end of the process.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Final

from kallback.kafka.offsets.open_transactions import LogReport, log_open_transaction
from kallback.kafka.topic_admin import open_transactions
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from kallback.kafka.group_status import OpenTransaction
    from kallback.kafka.records import TopicPartition
    from kallback.kafka.transactions import PartitionTransaction
    from kallback.settings import KafkaSettings

    Ask = Callable[[KafkaSettings, Sequence[str]], Awaitable[list[PartitionTransaction]]]

log: Final = named_log("kallback.kafka")
PATIENCE_S: Final = 15.0
"""After which the line is written without the producer: operators wait for it."""


class ProducerReport:
    """A `TransactionReport` that names producers.

    Args:
        settings: of the member that noticed the transactions.
        ask: returns those that are open in topics.
    """

    def __init__(self, settings: KafkaSettings, ask: Ask = open_transactions) -> None:
        self._settings: Final = settings
        self._ask: Final = ask
        self._plain: Final = LogReport()
        self._lines: Final[queue.SimpleQueue[Callable[[], None]]] = queue.SimpleQueue()
        self._lock: Final = threading.Lock()
        self._runs = False

    def begun(self, found: Mapping[TopicPartition, OpenTransaction]) -> None:
        """Ask whose they are, and log a line for each."""
        self._say(lambda: self._log_with_producers(found))

    def ended(self, partition: TopicPartition) -> None:
        """Log it, behind what is to be said before."""
        self._say(lambda: self._plain.ended(partition))

    def _say(self, line: Callable[[], None]) -> None:
        self._lines.put(line)
        with self._lock:
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name="kallback-transactions", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                try:
                    line = self._lines.get_nowait()
                except queue.Empty:
                    self._runs = False
                    return
            line()

    def _log_with_producers(self, found: Mapping[TopicPartition, OpenTransaction]) -> None:
        topics = sorted({each.topic for each in found})
        producers: list[PartitionTransaction] = []
        try:
            producers = asyncio.run(self._producers(topics))
        except Exception as error:  # noqa: BLE001 - whatever it is, the line is written
            log.debug("Kafka does not say whose transactions are open", topics=topics, reason=repr(error))
        by_place = {(each.partition, each.start_offset): each for each in producers}
        for partition, it in found.items():
            log_open_transaction(partition, it, by_place.get((partition, it.last_stable_offset)))

    async def _producers(self, topics: Sequence[str]) -> list[PartitionTransaction]:
        async with asyncio.timeout(PATIENCE_S):
            return await self._ask(self._settings, topics)
