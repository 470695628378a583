"""The recursion limit while deep JSON is read."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from kallback.protocol.values.recursion import with_room

PATIENCE_S = 20


def failing_once(work: Callable[[], int]) -> Callable[[], int]:
    """What does not fit at first."""
    tries = list[int]()

    def attempt() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise RecursionError
        return work()

    return attempt


def test_threads_that_overlap_leave_the_limit_as_it_was() -> None:
    """The first one that leaves does not take the room of the other one."""
    before = sys.getrecursionlimit()
    both_inside, first_left = threading.Barrier(2), threading.Event()
    seen = dict[str, int]()

    def first() -> int:
        both_inside.wait(PATIENCE_S)
        return sys.getrecursionlimit()

    def second() -> int:
        both_inside.wait(PATIENCE_S)
        first_left.wait(PATIENCE_S)
        return sys.getrecursionlimit()

    def run(name: str, work: Callable[[], int]) -> None:
        seen[name] = with_room(failing_once(work))
        if name == "first":
            first_left.set()

    threads = [threading.Thread(target=run, args=each) for each in (("first", first), ("second", second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert seen == {"first": before + 2_000, "second": before + 2_000}
    assert sys.getrecursionlimit() == before


def test_a_limit_that_others_set_meanwhile_stays() -> None:
    """The user's program may have reasons of its own."""
    before = sys.getrecursionlimit()

    def work() -> int:
        sys.setrecursionlimit(before + 5_000)
        return 1

    try:
        assert with_room(failing_once(work)) == 1
        assert sys.getrecursionlimit() == before + 5_000
    finally:
        sys.setrecursionlimit(before)


def test_what_never_fits_raises_and_the_limit_is_taken_back() -> None:
    """One more try, not more."""
    before = sys.getrecursionlimit()

    def work() -> int:
        raise RecursionError

    with pytest.raises(RecursionError):
        with_room(work)
    assert sys.getrecursionlimit() == before
