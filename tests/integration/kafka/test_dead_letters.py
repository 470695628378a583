"""Dead letters keep a record whole and say why it died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.kafka import DeadLetters, Record

if TYPE_CHECKING:
    from tests.integration.kafka.labs import Lab

pytestmark = pytest.mark.integration

DEAD = {
    "kallback-dead-reason": b"unverified",
    "kallback-dead-detail": b"no token",
    "kallback-dead-topic": b"results",
    "kallback-dead-partition": b"3",
    "kallback-dead-offset": b"42",
    "kallback-dead-timestamp": b"1700",
    "kallback-dead-at": b"12500",
    "kallback-dead-group": b"bridge",
    "kafka_dlt-original-topic": b"results",
    "kafka_dlt-original-consumer-group": b"bridge",
    "kafka_dlt-exception-fqcn": b"unverified",
    "kafka_dlt-exception-message": b"no token",
    "kafka_dlt-original-partition": b"\0\0\0\x03",
    "kafka_dlt-original-offset": b"\0\0\0\0\0\0\0\x2a",
    "kafka_dlt-original-timestamp": b"\0\0\0\0\0\0\x06\xa4",
}


def record(value: bytes, headers: tuple[tuple[str, bytes | None], ...] = ()) -> Record:
    """Make a record that dies."""
    return Record("results", 3, 42, 1700, b"\xff", value, headers)


async def test_a_dead_letter_is_the_record_and_the_reason(lab: Lab) -> None:
    """Key, value and headers byte for byte, then the facts."""
    topic = lab.topic()
    letters = DeadLetters(await lab.producer(), topic, group="bridge", clock=lambda: 12.5)
    headers = (("a", None), ("a", b"\x00"))
    await letters.publish(record(b"\xfe", headers), "unverified", "no token")
    (dead,) = await lab.receive(await lab.consumer(topic), 1)
    assert (dead.key, dead.value, dead.headers[:2]) == (b"\xff", b"\xfe", headers)
    assert dict(dead.headers[2:]) == DEAD


async def test_a_record_too_large_leaves_a_stub(lab: Lab) -> None:
    """What no topic takes is named by its position; the partition goes on."""
    topic = lab.topic()
    letters = DeadLetters(await lab.producer(), topic, group="bridge", clock=lambda: 12.5)
    await letters.publish(record(b"x" * 2_000_000, (("big", b"y"),)), "unverified", "no token")
    (dead,) = await lab.receive(await lab.consumer(topic), 1)
    assert (dead.key, dead.value) == (b"\xff", None)
    assert dict(dead.headers) == DEAD | {"kallback-dead-stub": b"2000000"}


async def test_a_record_that_dies_again_speaks_of_this_time_only(lab: Lab) -> None:
    """Each name stands once, whatever the record brought along."""
    topic = lab.topic()
    letters = DeadLetters(await lab.producer(), topic, group="bridge", clock=lambda: 12.5)
    headers = (("kallback-dead-reason", b"earlier"), ("a", b"1"))
    await letters.publish(record(b"v", headers), "unverified", "no token")
    (dead,) = await lab.receive(await lab.consumer(topic), 1)
    assert dead.headers == (("a", b"1"), *DEAD.items())


async def test_a_long_detail_is_cut(lab: Lab) -> None:
    """The detail may quote the record: it must not make the dead letter too large."""
    topic = lab.topic()
    letters = DeadLetters(await lab.producer(), topic, group="g")
    await letters.publish(record(b"v"), "r", "d" * 2_000_000)
    (dead,) = await lab.receive(await lab.consumer(topic), 1)
    assert dict(dead.headers)["kallback-dead-detail"] == b"d" * 1000
