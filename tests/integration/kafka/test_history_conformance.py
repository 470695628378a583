"""What a partition held before its group had committed anything there, whichever client reads it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING

import pytest
from tests.integration.kafka.labs import Lab, RealLab

from kallback.kafka.offsets.history import history_text
from kallback.kafka.offsets.partition_metadata import Commit

if TYPE_CHECKING:
    from kallback.kafka import Consumer, ConsumerOptions, Record

pytestmark = pytest.mark.integration

NO_COMMIT = "no committed offsets of partitions"


def marking(lab: Lab) -> ConsumerOptions:
    """Options of a consumer that marks history."""
    return dataclasses.replace(lab.quiet, mark_history=True)


def marks(records: list[Record]) -> dict[str, bool]:
    """Which records are history, by their values."""
    return {(record.value or b"").decode(): record.history for record in records}


async def settled(lab: Lab, consumer: Consumer, count: int) -> dict[str, bool]:
    """Receive and settle records; which of them are history."""
    records = await lab.receive(consumer, count)
    for record in records:
        consumer.done(record)
    return marks(records)


async def test_a_new_group_knows_what_was_there_before_it(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """Records that are written later are none of it; one calm log line says how many records were there."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    with caplog.at_level(logging.INFO):
        consumer = await lab.consumer(topic, group, marking(lab))
        assert await settled(lab, consumer, 2) == {"a": True, "b": True}
        await lab.send(topic, "c")
        assert await settled(lab, consumer, 1) == {"c": False}
    (line,) = (each for each in caplog.records if "no offset is committed" in each.getMessage())
    said = line.getMessage()
    assert (f"group='{group}'" in said, "records=2" in said, line.levelno) == (True, True, logging.INFO)
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING] == []


async def test_a_new_group_is_warned_of_what_was_deleted(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may have read it; the line says how many records are left."""
    if not isinstance(lab, RealLab):
        pytest.skip("a broker in memory deletes nothing")
    topic = lab.topic()
    await lab.send(topic, *"abc")
    await lab.delete_records(topic, before=1)
    with caplog.at_level(logging.WARNING):
        await settled(lab, await lab.consumer(topic, lab.new_group(), marking(lab)), 2)
    (line,) = (each.getMessage() for each in caplog.records if NO_COMMIT in each.getMessage())
    assert "records=2" in line


async def test_a_hostile_history_ends_where_the_log_does(lab: Lab) -> None:
    """Whoever may commit for the group could have all late results taken for history, for ever."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "a", "b")
    await lab.commit(group, topic, Commit(1, history_text(10**17)))
    consumer = await lab.consumer(topic, group, marking(lab))
    assert await settled(lab, consumer, 1) == {"b": True}
    await lab.send(topic, "c")
    assert await settled(lab, consumer, 1) == {"c": False}


async def test_a_group_that_ran_before_has_no_history(lab: Lab) -> None:
    """Also if the partition was empty then: its beginning was committed."""
    topic, group = lab.topic(), lab.new_group()
    first = await lab.consumer(topic, group, marking(lab))
    assert await first.fetch(1, 5 if lab.kind != "memory" else 0.01) == []
    await lab.until(lambda: bool(first.assignment()), "an assignment")
    await first.commit()
    await lab.crash(first)
    await lab.send(topic, "a")
    assert await settled(lab, await lab.consumer(topic, group, marking(lab)), 1) == {"a": False}


async def test_the_history_survives_a_crash_half_way(lab: Lab) -> None:
    """The successor marks the rest, and nothing of what was written since."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"abcd")
    first = await lab.consumer(topic, group, marking(lab))
    for record in (await lab.receive(first, 4))[:2]:
        first.done(record)
    await first.commit()
    assert await lab.commits(group, topic) == {0: Commit(2, history_text(4))}
    await lab.crash(first)
    await lab.send(topic, "e")
    second = await lab.consumer(topic, group, marking(lab))
    assert await settled(lab, second, 3) == {"c": True, "d": True, "e": False}
    await second.commit()
    assert await lab.commits(group, topic) == {0: Commit(5)}


async def test_the_history_survives_a_crash_before_anything_is_settled(lab: Lab) -> None:
    """The first commit says how far it goes."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"ab")
    first = await lab.consumer(topic, group, marking(lab))
    await lab.receive(first, 2)
    await first.commit()
    await lab.crash(first)
    await lab.send(topic, "c")
    second = await lab.consumer(topic, group, marking(lab))
    assert await settled(lab, second, 3) == {"a": True, "b": True, "c": False}


async def test_a_second_member_goes_on_with_the_history(lab: Lab) -> None:
    """The partitions that it takes over half way are marked to the same end."""
    topic, group = lab.topic(partitions=2), lab.new_group()
    await asyncio.gather(*(lab.send(topic, *(f"{key}{number}" for number in range(5)), key=key) for key in "abcdefgh"))
    first = await lab.consumer(topic, group, marking(lab))
    found = await settled(lab, first, 10)
    second = await lab.consumer(topic, group, marking(lab))

    async def rest(consumer: Consumer) -> None:
        while len(found) < 48:
            records = await consumer.fetch(4, 0.5)
            for record in records:
                consumer.done(record)
            found.update(marks(records))

    reading = [asyncio.create_task(rest(each)) for each in (first, second)]
    await lab.until(lambda: len(first.assignment()) == len(second.assignment()) == 1, "a partition for each")
    await asyncio.gather(*(lab.send(topic, f"new-{key}", key=key) for key in "abcdefgh"))
    await lab.until(lambda: len(found) == 48, "all records")
    await asyncio.gather(*reading)
    assert {value for value, is_history in found.items() if not is_history} == {f"new-{key}" for key in "abcdefgh"}


async def test_a_commit_beyond_the_end_counts_for_nothing(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """The log was cut back: it is read from its beginning, as history, and the log says so."""
    if lab.kind == "memory":
        pytest.skip("a client in memory goes on at the position that is committed")
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, *"ab")
    await lab.commit(group, topic, Commit(50))
    with caplog.at_level(logging.WARNING):
        consumer = await lab.consumer(topic, group, marking(lab))
        assert await settled(lab, consumer, 2) == {"a": True, "b": True}
    await consumer.commit()
    assert await lab.commits(group, topic) == {0: Commit(2)}
    assert "lie beyond the ends of partitions" in caplog.text
