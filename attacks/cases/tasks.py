"""Tasks that no handler asked for: the worker cannot know, because it has no key."""

from __future__ import annotations

import asyncio
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker, Plain
from attacks.cases.topics import judged, progress, results
from attacks.cases.topics import tasks as task_topic
from attacks.evidence import judged_tasks, task_outcomes
from attacks.work import LONG
from kallback.kafka import Record, create_topics
from kallback.kafka.topics import TopicSpec
from kallback.protocol import Attempt

_ABSENT_TOPICS: Final = 160
_BEATING_S: Final = 10.0
_BEATING: Final = 10
_MOST_A_SECOND: Final = 20
"""Heartbeats of one task: two in each of the least interval, 0.1 s."""
_FOREIGN: Final = 10
_FOREIGN_TASKS: Final = 2 * 6 * _FOREIGN
_ODD: Final = 200
_COPY_S: Final = 8.0
_COPIES: Final = 200
_LARGEST: Final = 10**14


async def _absent_reply_topics(attacker: Attacker) -> None:
    """As many topics as tasks."""
    prefix = attacker.topics.results
    tasks = [attacker.forged_task(reply_to=f"{prefix}.absent-{number}") for number in range(_ABSENT_TOPICS)]
    await attacker.write(attacker.tasks, tasks)


async def _absent_progress_topics(attacker: Attacker) -> None:
    """As many topics as tasks."""
    prefix = attacker.topics.progress
    absent = [f"{prefix}.absent-{number}" for number in range(_ABSENT_TOPICS)]
    tasks = [attacker.forged_task(progress_to=topic, heartbeat_every_ms=1_000) for topic in absent]
    await attacker.write(attacker.tasks, tasks)


async def _foreign_reply_topics(attacker: Attacker) -> None:
    """Topics of other parts of kallback, of Kafka and of another installation: the worker must write to none."""
    topics = attacker.topics
    other = f"other-{topics.results}"
    await create_topics(attacker.installation.settings.kafka, [TopicSpec(other)])
    watched = (topics.control, other)
    targets = (*watched, attacker.tasks, topics.dead_letters, topics.outcomes, "__consumer_offsets")
    before = [await attacker.ends(topic) for topic in watched]
    tasks = [attacker.forged_task(reply_to=topic) for topic in targets for _ in range(_FOREIGN)]
    tasks += [
        attacker.forged_task(b"%d" % LONG, progress_to=topic, heartbeat_every_ms=1)
        for topic in targets
        for _ in range(_FOREIGN)
    ]
    await attacker.write(attacker.tasks, tasks)
    await asyncio.sleep(_BEATING_S)
    for topic, end in zip(watched, before, strict=True):
        if await attacker.ends(topic) != end:
            attacker.findings.append(f"the worker wrote to {topic}")


async def _fast_heartbeats(attacker: Attacker) -> None:
    """Ten tasks that ask for a heartbeat each millisecond."""
    topic = attacker.topics.progress
    before = await attacker.ends(topic)
    tasks = [attacker.forged_task(b"%d" % LONG, progress_to=topic, heartbeat_every_ms=1) for _ in range(_BEATING)]
    await attacker.write(attacker.tasks, tasks)
    await asyncio.sleep(_BEATING_S)
    written = await attacker.ends(topic) - before
    if written > _BEATING * _BEATING_S * _MOST_A_SECOND:
        attacker.findings.append(f"{written} heartbeats of {_BEATING} tasks in {_BEATING_S:g} s")


async def _odd_tasks(attacker: Attacker) -> None:
    """Headers that a client of ours never writes, and requests that are none."""
    forged = attacker.forged_task
    values = (b"", b"nothing", b"[" * 900_000, b"1" * 900_000, b'{"a":' * 100_000, b"\xff", b"null", b"1e400")
    tasks = [forged(value) for value in values]
    tasks += [
        forged(attempt=Attempt(_LARGEST)),
        forged(deadline_ms=_LARGEST, start_by_ms=_LARGEST),
        forged(heartbeat_every_ms=_LARGEST, progress_to=attacker.topics.progress),
        forged(traceparent="00-" + "f" * 4_000, tracestate="a=b," * 900),
        forged(last_details=b"[" * 16_000),
        forged(task_id="\u202e\x00\n\x1b[2J"),
        forged(task_type="\x1b[2J" + "t" * 3_000),
        forged(token="t" * 4_000),
        forged(reply_to="../../x"),
        forged(reply_to="r" * 4_000),
        Plain(None, forged().headers),
        Plain(b"1", forged().headers + forged().headers),
    ]
    await attacker.write(attacker.tasks, tasks * 10, message_max_bytes=2_000_000)


async def _copied_tasks(attacker: Attacker) -> None:
    """Each good task five times more, each copy with another request."""

    def again(record: Record) -> Plain | None:
        if record.value == b"-7":
            return None
        return Plain(b"-7", record.headers, record.key, record.partition)  # elsewhere it could overtake the task

    await attacker.follow(attacker.tasks, _COPY_S, again, attacker.tasks, copies=5)


_REFUSED: Final = (judged_tasks(_ABSENT_TOPICS, "refused-reply-topic"),)

ATTACKS: Final = (
    Attack(
        name="absent-reply-topics",
        short=True,
        does="tasks: 160 with reply topics that do not exist",
        write=_absent_reply_topics,
        evidence=_REFUSED,
    ),
    Attack(
        name="absent-reply-topics-confluent",
        does="the same; the worker on confluent-kafka",
        write=_absent_reply_topics,
        evidence=_REFUSED,
        client="confluent",
    ),
    Attack(
        name="absent-progress-topics",
        does="tasks: 160 with progress topics that do not exist",
        write=_absent_progress_topics,
        evidence=judged(results, _ABSENT_TOPICS),
    ),
    Attack(
        name="foreign-reply-topics",
        does="tasks: results and heartbeats to kallback's other topics, to Kafka's, to another installation's",
        write=_foreign_reply_topics,
        evidence=(judged_tasks(_FOREIGN_TASKS, "refused-reply-topic"),),
    ),
    Attack(
        name="fast-heartbeats",
        does="tasks: 10 with a heartbeat each millisecond",
        write=_fast_heartbeats,
        evidence=judged(progress, _BEATING),
    ),
    Attack(
        name="odd-tasks",
        does="tasks: 200 with odd headers and requests",
        write=_odd_tasks,
        evidence=judged(task_topic, _ODD // 2),
    ),
    Attack(
        name="copied-tasks",
        does="tasks: each good task again with another request",
        write=_copied_tasks,
        evidence=(task_outcomes(_COPIES, "attached", "dropped"),),
    ),
)
