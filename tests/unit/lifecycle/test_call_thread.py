"""Blocking calls in a thread of their own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kallback.lifecycle import CallThread


@pytest.fixture
def thread() -> CallThread:
    """A thread without calls."""
    return CallThread("calls")


def current_name() -> str:
    """The name of the thread that asks."""
    return threading.current_thread().name


def broken() -> None:
    """A call that fails."""
    raise KeyError("call")


def gone() -> None:
    """A call that would end the interpreter of a script."""
    raise SystemExit


async def test_calls_run_in_one_thread_in_order(thread: CallThread) -> None:
    """Each ends before the next begins."""
    seen: list[int] = []
    calls = [thread.submit(lambda number=number: seen.append(number)) for number in range(5)]  # type: ignore[misc]  # mypy sees no type of a lambda's default
    assert await thread.submit(current_name) == "calls"
    assert all(call.done() for call in calls)
    assert seen == [0, 1, 2, 3, 4]
    thread.close()


async def test_an_error_reaches_the_caller_and_the_next_call_runs(thread: CallThread) -> None:
    """Whatever was raised."""
    with pytest.raises(KeyError):
        await thread.submit(broken)
    with pytest.raises(RuntimeError, match="SystemExit"):
        await thread.submit(gone)
    assert await thread.submit(current_name) == "calls"
    thread.close()


async def test_a_cancelled_call_ends_only_the_waiting(thread: CallThread) -> None:
    """The next call still runs behind it."""
    go = threading.Event()
    first = thread.submit(lambda: go.wait(30))
    first.cancel()
    second = thread.submit(lambda: "second")
    go.set()
    async with asyncio.timeout(20):
        assert await second == "second"
    thread.close()


async def test_a_thread_that_did_not_start_is_started_by_the_next_call(
    thread: CallThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shortage of threads fails the call that meets it, and no later one."""

    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            thread.submit(current_name)
    async with asyncio.timeout(20):
        assert await thread.submit(current_name) == "calls"
    thread.close()


async def test_a_last_call_runs_behind_the_others_and_ends_the_thread(thread: CallThread) -> None:
    """As the closing of a client behind what it is asked."""
    seen: list[str] = []
    thread.submit(lambda: seen.append("asked"))
    await thread.finish(lambda: seen.append("closed"), 60)
    assert seen == ["asked", "closed"]


async def test_a_last_call_that_fails_is_told(thread: CallThread) -> None:
    """Its owner writes a log line and goes on."""
    with pytest.raises(KeyError):
        await thread.finish(broken, 60)


async def test_a_last_call_that_hangs_is_left_behind(thread: CallThread) -> None:
    """The stop of its owner has a bound, whatever a library does."""
    release = threading.Event()
    try:
        with pytest.raises(TimeoutError, match="no end within 0 s"):
            await thread.finish(release.wait, 0)
    finally:
        release.set()
