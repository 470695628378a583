"""How many partitions topics have, asked once and then again at times: what a `Placement` is applied to.

Ownership: each event loop has its own lookups, so that many records that are sent at once wait for one answer. The
answers are shared. A lookup is bounded; while Kafka does not answer, the last answer counts, and without one the key of
a record decides on its partition.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Final

from kallback.kafka.confluent.client import in_thread

from confluent_kafka import KafkaException  # isort: skip - the check comes first

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Producer

_AGE_LIMIT_S: Final = 60.0  # partitions that were added are used from then on
_TIMEOUT_S: Final = 2.0
_SLICE_S: Final = 0.2


class PartitionCounts:
    """The numbers of partitions of the topics that records were sent to.

    Args:
        producer: the client to ask, whichever it is now.
    """

    def __init__(self, producer: Callable[[], Producer]) -> None:
        self._producer: Final = producer
        self._known: Final = dict[str, tuple[int, float]]()
        self._lookups: Final = dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[int | None]]()

    async def of(self, topic: str) -> int | None:
        """The number of partitions of a topic; None if Kafka does not say."""
        known = self._known.get(topic)
        if known is not None and time.monotonic() - known[1] < _AGE_LIMIT_S:
            return known[0]
        key = asyncio.get_running_loop(), topic
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = asyncio.create_task(self._look_up(topic), name="kallback-partitions")
            lookup.add_done_callback(lambda _: self._lookups.pop(key, None))
        found = await asyncio.shield(lookup)
        if found is not None:
            self._known[topic] = found, time.monotonic()
        return found if found is not None or known is None else known[0]

    def forget(self, topic: str) -> None:
        """Ask again: the topic has not the partitions that it had."""
        self._known.pop(topic, None)

    async def _look_up(self, topic: str) -> int | None:
        producer = self._producer()
        return await in_thread(lambda abandoned: _count(producer, topic, abandoned))


def _count(producer: Producer, topic: str, abandoned: threading.Event) -> int | None:
    """Ask in slices, so that an abandoned question ends soon."""
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and not abandoned.is_set():
        try:
            found = producer.list_topics(topic, _SLICE_S).topics.get(topic)
        except KafkaException:
            continue
        return None if found is None or found.error is not None else len(found.partitions) or None
    return None
