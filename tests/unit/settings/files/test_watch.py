"""Files with settings are looked at by one thread, for as long as something uses them."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Final

import pytest

from kallback.settings.files import watch
from kallback.testing import eventually
from kallback.testing.log_capture import capture_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from weakref import ref


class Looking:
    """Counts how often it is asked to look."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        """Once more."""
        self.looks += 1


NAME: Final = "kallback-files"


def threads() -> set[threading.Thread]:
    """Those that look at files."""
    return {each for each in threading.enumerate() if each.name == NAME}


@pytest.fixture(autouse=True)
def own_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[threading.Thread]]:
    """As in a new process; what other tests have left is none of ours."""
    before = threads()
    nobody: list[ref[watch.FileFollower]] = []
    monkeypatch.setattr(watch, "_watched", nobody)
    monkeypatch.setattr(watch, "_INTERVAL_S", 0.001)
    yield before
    nobody.clear()


async def test_one_thread_looks_at_all_files_again_and_again(own_thread: set[threading.Thread]) -> None:
    """A process may have a dozen of them."""
    files = [Looking() for _ in range(5)]
    for each in files:
        watch.watch(each)
    await eventually("three looks at each", lambda: all(each.looks >= 3 for each in files))
    assert len(threads() - own_thread) == 1


async def test_the_thread_ends_with_the_last_file_and_begins_again(own_thread: set[threading.Thread]) -> None:
    """Programs may read their settings again and again."""
    first = Looking()
    watch.watch(first)
    del first
    gc.collect()
    await eventually("the end of the thread", lambda: not threads() - own_thread)
    second = Looking()
    watch.watch(second)
    await eventually("a look", lambda: second.looks > 0)


class Broken:
    """Has a defect."""

    def look(self) -> None:
        """Fail."""
        raise ZeroDivisionError


async def test_one_that_fails_does_not_end_the_watch_over_the_others() -> None:
    """Its error is a line in the log."""
    broken, good = Broken(), Looking()
    with capture_logs("kallback.settings") as lines:
        watch.watch(broken)
        watch.watch(good)
        await eventually("looks after the failure", lambda: good.looks >= 3)
    assert "ZeroDivisionError" in str(lines)
