"""Publishing courses, and telling the workers when nobody waits for them any more.

All of it inside one invocation: one coroutine at a time, because Restate's journal is one line of entries. What must
be told to workers after one wait (see `lookout.py`) is told in one step.

On cancel (Restate's 409, at any await): one `cancel` for each course that has not ended is published, all in one step,
bounded in time, and the 409 is raised again. A second cancellation ends that step, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

from restate import RestateDurableFuture, TerminalError, wait_completed

from kallback.kafka import OutgoingRecord
from kallback.protocol import UNEXPECTED_ERROR, Cancel
from kallback.sdk.errors import (
    GATEWAY_TIMEOUT,
    KAFKA_UNAVAILABLE,
    NOT_WATCHED,
    UNAVAILABLE,
    TaskError,
    TaskNotSent,
)
from kallback.sdk.journal.publish import Publication, Refused, Sent, cancel_step, pauses, publish_step
from kallback.sdk.monitoring.client import watch
from kallback.sdk.tasks.state import Course

T = TypeVar("T")
_NOBODY_WATCHES: Final = (
    "TaskMonitor did not answer before the deadline: bind callbacks.services in a Restate service and register it, or "
    "declare the task type without start_timeout and heartbeat_every"
)
Courses = Sequence[Course[Any]]


async def launch(course: Course[Any]) -> None:
    """Have Kafka take the first attempt.

    Raises:
        TaskNotSent: Kafka refused it, or did not answer before the deadline.
        TerminalError: the invocation was cancelled (409); the workers are told.
    """
    async with told_if_cancelled([course]):
        if await _is_watched(course):
            await publish(course)
        else:
            course.end(course.not_sent(NOT_WATCHED, GATEWAY_TIMEOUT, _NOBODY_WATCHES))
    if isinstance(course.ended, TaskNotSent):
        raise course.ended


async def _is_watched(course: Course[Any]) -> bool:
    """Have somebody watch over the first attempt, if its type wants that; whether that worked before the deadline."""
    task = course.task
    if task.identity.first is None or not task.task_type.monitored:
        return True
    return await _in_time(course, watch(course.ctx, course.pending, task.identity.first, task.identity.deadline_ms))


async def publish(course: Course[Any]) -> None:
    """Have Kafka take the present attempt, or a later one; a course that Kafka does not take, ends.

    Raises:
        TerminalError: the invocation was cancelled (409).
    """
    trouble = "no acknowledgement yet"
    for pause in pauses():
        if course.ready:
            await course.renew()
        outgoing = publish_step(course.ctx, course.shared.publisher, course.record(), name=course.name("publish"))
        if not await _in_time(course, outgoing):
            break
        publication = await _outcome(outgoing)
        if isinstance(publication, Sent):
            return
        if isinstance(publication, Refused):
            course.end(course.not_sent(publication.kind, publication.status, publication.detail))
            return
        trouble = publication.detail
        paused = course.ctx.sleep(pause, course.name("wait for Kafka, then publish"))
        if not await _in_time(course, paused):
            break
        if await out_of_time(course, paused):
            course.unsent()
    course.end(unsent(course, trouble))


def unsent(course: Course[Any], trouble: str) -> TaskNotSent:
    """The error for a broker that does not answer before the deadline."""
    detail = f"Kafka did not acknowledge the task before its deadline: start it or check its address ({trouble})"
    return course.not_sent(KAFKA_UNAVAILABLE, UNAVAILABLE, detail)


async def _outcome(outgoing: RestateDurableFuture[Publication]) -> Publication:
    try:
        return await outgoing
    except TerminalError as error:  # a defect, repeated as often as a step is repeated
        return Refused(UNEXPECTED_ERROR, error.status_code, error.message)


async def _in_time(course: Course[Any], future: RestateDurableFuture[Any]) -> bool:
    """Whether a future is completed before the task's deadline."""
    timer = course.task.timer
    return id(future) in await any_of([future] if timer is None else [future, timer])


async def out_of_time(course: Course[Any], completed: RestateDurableFuture[Any]) -> bool:
    """Whether an attempt that Kafka has not taken yet must be a new one: its own times would have passed.

    The one until which it must start, may have; so such an attempt is always a new one.
    """
    if course.task.task_type.start_timeout is not None:
        return True
    return course.limit is not None and id(course.limit) in await any_of([completed, course.limit])


async def any_of(futures: Iterable[RestateDurableFuture[Any]]) -> frozenset[int]:
    """Wait until at least one is completed; the `id()` of each that is.

    Raises:
        TerminalError: the invocation was cancelled (409). Nothing else raises here: failures stay in the futures, so
            that a 409 of a worker is never taken for a cancellation, nor the other way round.
    """
    completed, _ = await wait_completed(*{id(future): future for future in futures}.values())
    return frozenset(map(id, completed))


async def tell(courses: Courses) -> None:
    """Publish what workers must know, best effort, in one step; only a cancellation ends it early, and raises."""
    noticed = [(course, cancel) for course in courses for cancel in course.take_notices()]
    if not noticed:
        return
    first, cancels, shared = noticed[0][0], [cancel for _, cancel in noticed], courses[0].shared

    def records() -> list[OutgoingRecord]:
        at_ms = int(shared.clock() * 1000)
        return [_control_record(shared.control_topic, replace(cancel, at_ms=at_ms)) for cancel in cancels]

    reasons = ", ".join(dict.fromkeys(cancel.reason.value for cancel in cancels))
    name = first.name(f"cancel ({reasons})") if len(cancels) == 1 else f"cancel {len(cancels)} ({reasons})"
    await wait_completed(cancel_step(first.ctx, shared.publisher, records, name=name))


@asynccontextmanager
async def told_if_cancelled(courses: Courses) -> AsyncGenerator[None]:
    """Whatever is cancelled inside, the workers of all courses that have not ended are told."""
    try:
        yield
    except TaskError:
        raise
    except TerminalError:
        for course in courses:
            if course.ended is None:
                course.abandon()
        await tell(courses)
        raise


def _control_record(topic: str, cancel: Cancel) -> OutgoingRecord:
    return OutgoingRecord(topic, cancel.encode(), cancel.task_id.encode())
