"""What an alarm means: verdicts from state, time and marks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kallback.protocol import HEARTBEAT_LOST, NOT_STARTED, Attempt, AwakeableId, Heard, Marks, Signal, TaskId
from kallback.sdk.monitoring.decide import (
    EXPIRY_GRACE_MS,
    CheckAgain,
    Expired,
    Idle,
    Overdue,
    SuspectedLost,
    WatchedTask,
    WatchRequest,
    begin,
    check,
    confirm_lost,
    first_check,
    lowest,
    merged,
    problem_of,
    record_heartbeat,
    still_lost,
)

SENT, START_BY, LIMIT, DEADLINE = 1_000_000, 1_060_000, 30_000, 4_600_000


def watch(attempt: int = 1, **members: Any) -> WatchRequest:
    """An attempt of a type with all limits."""
    limits = {"start_by_ms": START_BY, "limit_ms": LIMIT, "deadline_ms": DEADLINE} | members
    return WatchRequest("restaurant.prepare", Attempt(attempt), AwakeableId("sign_1x"), SENT, **limits)


def heard(seen_ms: int, details: bytes = b"", at_ms: int | None = None) -> Heard:
    """A heartbeat."""
    return Heard("kb1:x", Signal.HEARTBEAT, seen_ms if at_ms is None else at_ms, seen_ms, msgspec.Raw(details))


def marks(*times: int) -> list[Marks]:
    """Two topics of one partition."""
    return [Marks(1, {0: time}) for time in times]


NEW = begin(None, watch())
RUNNING = record_heartbeat(NEW, heard(SENT + 5_000, b"[1]"))


def test_an_attempt_begins_with_what_the_one_before_ended_with() -> None:
    """It is newer than the last heartbeat, which may come later; without it, that one counts."""
    raw = msgspec.Raw(b"[2]")
    assert [bytes(begin(known, watch(2, details=raw)).details) for known in (None, RUNNING)] == [b"[2]", b"[2]"]
    assert bytes(begin(RUNNING, watch(2)).details) == b"[1]"


def test_the_first_look_is_when_it_must_have_started() -> None:
    """One alarm, for the start."""
    assert first_check(NEW) == CheckAgain(60_000)


def test_without_a_start_timeout_the_first_look_is_for_what_was_forgotten() -> None:
    """Nobody waits for its start, but a state must not stay for ever."""
    assert first_check(begin(None, watch(start_by_ms=None))) == CheckAgain(DEADLINE + EXPIRY_GRACE_MS - SENT)


def test_nothing_to_wait_for_needs_no_alarm() -> None:
    """No start timeout, no deadline: the first sign of life sets the first alarm."""
    assert first_check(begin(None, watch(start_by_ms=None, deadline_ms=None))) == Idle()


def test_the_first_sign_of_life_makes_a_new_generation() -> None:
    """It sets the alarm for heartbeats; later ones only write state."""
    again = record_heartbeat(RUNNING, heard(SENT + 6_000))
    assert (NEW.generation, RUNNING.generation, again.generation) == (1, 2, 2)


def test_without_heartbeats_no_sign_of_life_sets_an_alarm() -> None:
    """Only the start is waited for."""
    known = begin(None, watch(limit_ms=None))
    assert record_heartbeat(known, heard(SENT + 5_000)).generation == known.generation


def test_signs_of_life_never_go_back() -> None:
    """Records of different workers' clocks may come in any order."""
    early = record_heartbeat(RUNNING, heard(SENT + 1_000, at_ms=SENT + 900))
    assert (early.seen_ms, early.heartbeat_ms, early.started_ms) == (RUNNING.seen_ms, RUNNING.heartbeat_ms, SENT + 900)


def test_details_stay_until_there_are_others() -> None:
    """A heartbeat without details says nothing about them."""
    assert bytes(record_heartbeat(RUNNING, heard(SENT + 6_000)).details) == b"[1]"
    assert bytes(record_heartbeat(RUNNING, heard(SENT + 6_000, b"[2]")).details) == b"[2]"


def test_the_state_says_when_the_details_became_others() -> None:
    """The same details, or none, change nothing: a task that hangs may still send heartbeats by itself."""
    same = record_heartbeat(RUNNING, heard(SENT + 6_000, b"[1]", at_ms=SENT + 5_900))
    none = record_heartbeat(same, heard(SENT + 7_000))
    others = record_heartbeat(none, heard(SENT + 8_000, b"[2]", at_ms=SENT + 7_900))
    assert same.details_ms == none.details_ms == RUNNING.details_ms is not None
    assert others.details_ms == SENT + 7_900
    assert begin(others, watch()).details_ms is None


def test_the_next_attempt_has_the_details_and_nothing_else() -> None:
    """It has not started, whatever the one before did."""
    second = begin(RUNNING, watch(attempt=2))
    assert (second.seen_ms, second.started_ms, bytes(second.details)) == (None, None, b"[1]")
    assert second.generation > RUNNING.generation


@pytest.mark.parametrize(
    ("watched", "now", "meaning"),
    [
        (NEW, START_BY - 1_000, CheckAgain(1_000)),
        (NEW, START_BY - 1, CheckAgain(100)),
        (NEW, START_BY, Overdue(START_BY)),
        (RUNNING, SENT + 20_000, CheckAgain(15_000)),
        (RUNNING, SENT + 35_000, Overdue(SENT + 35_000)),
        (RUNNING, DEADLINE + EXPIRY_GRACE_MS, Expired()),
        (RUNNING.given_up_now(), SENT + 35_000, CheckAgain(DEADLINE + EXPIRY_GRACE_MS - SENT - 35_000)),
        (record_heartbeat(begin(None, watch(limit_ms=None, deadline_ms=None)), heard(SENT)), START_BY, Idle()),
    ],
)
def test_what_an_alarm_means(watched: WatchedTask, now: int, meaning: object) -> None:
    """By the service's clock, which only decides when to look."""
    assert check(watched, now) == meaning


def test_marks_past_the_limit_raise_a_suspicion() -> None:
    """Of both topics."""
    due = SENT + 35_000
    assert confirm_lost(RUNNING, Overdue(due), due, marks(due, due)) == SuspectedLost(2, SENT + 5_000)


@pytest.mark.parametrize(
    "told",
    [marks(10**9, SENT + 34_999), marks(SENT + 34_999, 10**9), [*marks(10**9), Marks(2, {0: 10**9})], [Marks(0, {})]],
)
def test_one_mark_that_is_behind_is_enough_to_look_again(told: list[Marks]) -> None:
    """The heartbeat may lie there."""
    due = SENT + 35_000
    assert confirm_lost(RUNNING, Overdue(due), due, told) == CheckAgain(250)


@pytest.mark.parametrize(("behind", "pause"), [(0, 250), (10_000, 5_000), (10**7, 60_000)])
def test_while_a_bridge_is_away_looks_become_rare(behind: int, pause: int) -> None:
    """Ten thousand tasks must not ask once a second for a whole night."""
    due = SENT + 35_000
    assert confirm_lost(RUNNING, Overdue(due), due + behind, marks(0, 0)) == CheckAgain(pause)


def test_short_limits_are_looked_at_sooner() -> None:
    """A limit below a quarter of a second is its own pause."""
    short = record_heartbeat(begin(None, watch(limit_ms=200)), heard(SENT))
    assert confirm_lost(short, Overdue(SENT + 200), SENT + 200, marks(0, 0)) == CheckAgain(200)


def test_a_suspicion_is_confirmed_by_silence_only() -> None:
    """A heartbeat, or the next attempt, makes it void."""
    suspicion = SuspectedLost(RUNNING.generation, RUNNING.seen_ms)
    assert still_lost(RUNNING, suspicion)
    assert not still_lost(record_heartbeat(RUNNING, heard(SENT + 6_000)), suspicion)
    assert not still_lost(begin(RUNNING, watch(attempt=2)), suspicion)
    assert not still_lost(RUNNING, SuspectedLost(NEW.generation, NEW.seen_ms))


def test_what_is_lost_may_be_tried_again() -> None:
    """Never started, or not heard of any more: two problems, both retryable."""
    unstarted, lost = problem_of(NEW), problem_of(RUNNING)
    assert (unstarted.type, unstarted.retryable) == (NOT_STARTED, True)
    assert (lost.type, lost.retryable) == (HEARTBEAT_LOST, True)
    assert "for 30 s" in lost.detail


def test_progress_is_what_the_state_says() -> None:
    """For whoever asks."""
    told = RUNNING.progress(TaskId("A" * 16))
    assert (told.task_type, told.attempt, told.started_ms, bytes(told.details)) == (
        "restaurant.prepare",
        1,
        SENT + 5_000,
        b"[1]",
    )


def test_the_state_survives_restate() -> None:
    """What is written is what is read."""
    again = msgspec.json.decode(msgspec.json.encode(RUNNING), type=WatchedTask)
    assert (again.watch, again.seen_ms, bytes(again.details)) == (RUNNING.watch, RUNNING.seen_ms, b"[1]")


def test_marks_never_go_back() -> None:
    """Two bridges report their shares, in any order; partitions only become more."""
    first = merged(None, Marks(2, {0: 10}))
    assert merged(first, Marks(2, {1: 5})) == Marks(2, {0: 10, 1: 5})
    assert merged(first, Marks(3, {0: 9})) == Marks(3, {0: 10})
    assert merged(Marks(3, {}), Marks(2, {})).partitions == 3


@pytest.mark.parametrize(
    ("told", "time"),
    [
        (Marks(2, {0: 10, 1: 5}), 5),
        (Marks(2, {0: 10}), None),
        (Marks(1, {0: 10, 7: 1}), 10),
        (Marks(0, {}), None),
    ],
)
def test_the_lowest_mark_counts(told: Marks, time: int | None) -> None:
    """Of all partitions that there are; one that nobody reported is not passed."""
    assert lowest(told) == time
