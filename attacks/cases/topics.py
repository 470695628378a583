"""The topics of an installation that anyone may write to here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attacks.attacker import Attacker, Plain
from attacks.evidence import Evidence, judged_control, judged_progress, judged_results, judged_tasks
from kallback.kafka.topics import TopicLayout

TopicOf = Callable[[Attacker], str]


def results(attacker: Attacker) -> str:
    """The results topic."""
    return attacker.topics.results


def tasks(attacker: Attacker) -> str:
    """The task topic."""
    return attacker.tasks


def control(attacker: Attacker) -> str:
    """The control topic; it has one partition."""
    return attacker.topics.control


def progress(attacker: Attacker) -> str:
    """The progress topic."""
    return attacker.topics.progress


TOPICS: Final = (results, tasks, control, progress)


def partitions(topic: TopicOf) -> range:
    """The partitions of a topic."""
    return range(1 if topic is control else TopicLayout().partitions)


def judged(topic: TopicOf, least: int) -> tuple[Evidence, ...]:
    """Evidence that so many records of a topic that are worth nothing were looked at."""
    kinds: dict[TopicOf, Callable[[int], Evidence]] = {
        results: judged_results,
        tasks: judged_tasks,
        control: judged_control,
        progress: judged_progress,
    }
    return (kinds[topic](least),)


def judged_everywhere(least: int) -> tuple[Evidence, ...]:
    """The same, in each topic."""
    return tuple(each for topic in TOPICS for each in judged(topic, least))


async def end_mark(attacker: Attacker) -> None:
    """A last record of the control topic: workers that have read it have passed what lies before.

    Workers on aiokafka drop large records of this topic before they could be counted.
    """
    await attacker.write(control(attacker), [Plain(b"{}")])
