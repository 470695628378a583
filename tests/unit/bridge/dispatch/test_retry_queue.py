"""What waits for its next attempt."""

from __future__ import annotations

import asyncio

from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import BridgeOptions, Completion
from kallback.bridge.context import BridgeContext
from kallback.bridge.dispatch.retry_queue import RetryQueue
from kallback.bridge.in_flight.deliveries import Delivery
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.kafka import MemoryBroker, MemoryConsumer
from kallback.protocol import Completed
from kallback.testing.polling import eventually


def delivery_of(make: RecordFactory, identity: str) -> Delivery:
    """A delivery with this identity."""
    consumer = MemoryConsumer(MemoryBroker(), ["kallback.results"], "group")
    fetched = FetchedRecord(make.received(make.completed()), consumer)
    return Delivery(fetched, identity, Completion(identity, make.token(), Completed(b"1")))


async def test_what_is_due_earlier_comes_back_earlier(make: RecordFactory) -> None:
    """One timer serves all, whatever the order in which they were added."""
    back: list[str] = []
    queue = RetryQueue(lambda it: back.append(it.identity), BridgeContext(BridgeOptions()).supervisor)
    now = asyncio.get_running_loop().time()
    for identity, delay in [("last", 0.02), ("first", 0.005), ("middle", 0.01)]:
        queue.add(delivery_of(make, identity), now + delay)
    await eventually("all of them", lambda: len(back) == 3, interval=0.002)
    assert (back, len(queue)) == (["first", "middle", "last"], 0)


async def test_after_a_stop_nothing_comes_back(make: RecordFactory) -> None:
    """What waits is not settled, so Kafka redelivers it."""
    back: list[Delivery] = []
    queue = RetryQueue(back.append, BridgeContext(BridgeOptions()).supervisor)
    queue.add(delivery_of(make, "a"), asyncio.get_running_loop().time())
    queue.stop()
    queue.add(delivery_of(make, "b"), asyncio.get_running_loop().time())
    await asyncio.sleep(0.01)
    assert (back, len(queue)) == ([], 2)


async def test_a_failure_is_reported_and_the_others_still_come_back(make: RecordFactory) -> None:
    """A timer that ends in silence would hold its deliveries for ever."""
    failures: list[Exception] = []
    back: list[str] = []

    def submit(delivery: Delivery) -> None:
        back.append(delivery.identity)
        if delivery.identity == "bad":
            raise RuntimeError("a defect")

    context = BridgeContext(BridgeOptions(), on_failure=failures.append)
    queue = RetryQueue(submit, context.supervisor)
    now = asyncio.get_running_loop().time()
    queue.add(delivery_of(make, "bad"), now)
    queue.add(delivery_of(make, "good"), now)
    await eventually("both", lambda: len(back) == 2, interval=0.002)
    assert [str(each) for each in failures] == ["a defect"]
