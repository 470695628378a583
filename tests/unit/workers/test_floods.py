"""Records that are no task come in any number: they delay no task, and beyond a rate one dead letter counts many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.kafka import IN_BATCHES, MemoryProducer, OutgoingRecord, Position, ProducerOptions
from kallback.kafka.dead_letters.summaries import SUMMARY, read_summary
from kallback.settings import Settings
from kallback.settings.dead_letters import DeadLetterSettings
from kallback.workers import Worker, WorkerOptions

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

RATE = 1
WHOLE = 10 * RATE  # the burst of a budget


def rationed(env: WorkerEnv) -> Worker:
    """A worker with one slot that writes few dead letters whole."""
    settings = Settings(topics=env.topics, dead_letters=DeadLetterSettings(per_second=RATE))
    options = WorkerOptions(concurrency=1, retry_delay=0.001, retry_delay_limit=0.005)
    worker = Worker("kitchen", settings=settings, options=options, kafka=env.clients, clock=lambda: env.now)
    env.workers.append(worker)
    return worker


def counted(env: WorkerEnv) -> list[int]:
    """For each dead letter, how many records it stands for."""
    letters = (dict(each.headers) for each in env.broker.records(env.topics.dead_letters))
    summaries = (read_summary(each.get(SUMMARY) or b"") for each in letters)
    return [1 if each is None else each.count for each in summaries]


async def test_a_flood_of_records_that_are_no_task_is_counted_in_summaries(env: WorkerEnv) -> None:
    """Some are kept whole, each one is counted, and none is read again."""
    worker = rationed(env)
    done = env.cook(worker)
    for number in range(3_000):
        env.put("orders", b"junk %d" % number)
    env.send("t1")
    async with worker:
        await env.settled(3_001)

    letters, reasons = counted(env), worker.counts.dead_letter_reasons
    assert (done, sum(letters), reasons["not-a-task"], reasons.total()) == (["t1"], 3_000, 3_000, 3_000)
    assert reasons.keys() >= {"unreadable", "parked"}  # from the start, so that a rate sees the first one
    assert WHOLE <= letters.count(1) < 2 * WHOLE
    assert len(letters) < 4 * WHOLE


async def test_a_task_that_begins_no_attempt_is_always_kept_whole(env: WorkerEnv) -> None:
    """Its caller may wait, and somebody has to see it."""
    worker = rationed(env)
    env.cook(worker)
    for number in range(3 * WHOLE):
        env.send(f"t{number}", reply_to="elsewhere")
    async with worker:
        await env.settled(3 * WHOLE)

    assert env.dead() == ["refused-reply-topic"] * 3 * WHOLE
    assert counted(env) == [1] * 3 * WHOLE


async def test_what_is_counted_is_durable_when_the_worker_stops(env: WorkerEnv) -> None:
    """A drain waits for the summary that grows."""
    worker = rationed(env)
    env.cook(worker)
    for _ in range(2 * WHOLE):
        env.put("orders", b"junk")
    async with worker:
        await env.until(lambda: len(counted(env)) >= WHOLE, "the whole ones")

    assert sum(counted(env)) == env.committed()


async def test_dead_letters_are_written_in_compressed_batches(env: WorkerEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that unfold to a megabyte are small on the broker: whole dead letters of 0.2 MB of them took 98 MiB."""
    made: dict[ProducerOptions | None, MemoryProducer] = {}

    def producer(options: ProducerOptions | None = None) -> MemoryProducer:
        made[options] = MemoryProducer(env.broker)
        return made[options]

    monkeypatch.setattr(env.clients, "producer", producer)
    worker = env.worker()
    env.cook(worker)
    async with worker:
        sent: list[OutgoingRecord] = []
        send = made[IN_BATCHES].send

        async def noted(record: OutgoingRecord) -> Position:
            sent.append(record)
            return await send(record)

        monkeypatch.setattr(made[IN_BATCHES], "send", noted)
        env.put("orders", b"junk")
        env.send("t1")
        await env.settled(2)
    assert made.keys() == {None, IN_BATCHES}
    assert [each.topic for each in sent] == [env.topics.dead_letters]
