"""Supervised tasks, threads, timers and callbacks: no end goes unnoticed, and `stop` always ends."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest

from kallback.lifecycle import Supervisor, UnexpectedEndError
from kallback.settings import named_log


class Owner:
    """The owner of a supervisor: remembers what it is told."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.told = asyncio.Event()
        self.supervisor = Supervisor("owner", self.on_failure, named_log("kallback.test"))

    def on_failure(self, error: Exception) -> None:
        """Remember the failure."""
        self.failures.append(error)
        self.told.set()

    async def failure(self) -> Exception:
        """Wait for the first failure."""
        async with asyncio.timeout(10):
            await self.told.wait()
        return self.failures[0]


class PanicError(BaseException):
    """What extensions in Rust raise: no Exception."""


class UnprintableError(Exception):
    """Fails at its own text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.fixture
async def owner() -> AsyncIterator[Owner]:
    """An owner whose supervisor is stopped at the end."""
    each = Owner()
    yield each
    await each.supervisor.stop(5)


async def test_a_task_that_raises_is_a_failure(owner: Owner) -> None:
    """The owner gets the error itself, because its sentence names the remedy."""

    async def work() -> None:
        raise ValueError("broken")

    owner.supervisor.run("reader", work())
    assert isinstance(await owner.failure(), ValueError)
    assert isinstance(owner.supervisor.failure, ValueError)


async def test_a_task_that_returns_is_a_failure(owner: Owner) -> None:
    """Work that goes on until it is stopped must not just end."""

    async def work() -> None:
        return

    owner.supervisor.run("reader", work())
    failure = await owner.failure()
    assert isinstance(failure, UnexpectedEndError)
    assert "reader ended unexpectedly" in str(failure)


async def test_work_that_comes_to_an_end_is_no_failure(owner: Owner) -> None:
    """`run_once` reports errors only."""

    async def work() -> None:
        return

    await owner.supervisor.run_once("check", work())
    await asyncio.sleep(0)
    assert owner.failures == []


async def test_a_panic_is_wrapped(owner: Owner) -> None:
    """A BaseException reaches the owner as an error that it can handle, with its cause."""

    async def work() -> None:
        raise PanicError("rust")

    owner.supervisor.run("reader", work())
    failure = await owner.failure()
    assert isinstance(failure, UnexpectedEndError)
    assert isinstance(failure.__cause__, PanicError)


@pytest.mark.parametrize("error", [ValueError("broken"), PanicError("rust"), SystemExit(3)])
async def test_a_thread_that_raises_is_a_failure(owner: Owner, error: BaseException) -> None:
    """SystemExit, too: the interpreter ends a thread with it in silence."""

    def work() -> None:
        raise error

    owner.supervisor.run_thread("poll", work)
    failure = await owner.failure()
    assert failure is error or failure.__cause__ is error


async def test_a_thread_that_returns_is_a_failure(owner: Owner) -> None:
    """A thread that should poll for ever must not just end."""
    owner.supervisor.run_thread("poll", lambda: None)
    assert isinstance(await owner.failure(), UnexpectedEndError)


async def test_a_timer_that_raises_is_a_failure(owner: Owner) -> None:
    """The event loop would only log it."""

    def fire() -> None:
        raise ValueError("broken")

    owner.supervisor.call_later(0, "sweep", fire)
    assert isinstance(await owner.failure(), ValueError)


async def test_a_guarded_callback_does_not_raise(owner: Owner) -> None:
    """The caller of a callback, a client's thread or loop, is not disturbed."""

    def callback(number: int) -> None:
        raise ValueError(number)

    owner.supervisor.guard("on delivery", callback)(7)
    assert [str(each) for each in owner.failures] == ["7"]


async def test_a_panic_in_a_guarded_callback_is_a_failure(owner: Owner) -> None:
    """It is no `Exception`, and the loop would only log it."""

    def callback() -> None:
        raise PanicError

    owner.supervisor.guard("on delivery", callback)()
    assert isinstance(owner.failures[0].__cause__, PanicError)


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
async def test_what_ends_a_process_or_a_task_passes_a_guard(owner: Owner, signal: type[BaseException]) -> None:
    """Its catcher is not the supervisor."""

    def callback() -> None:
        raise signal

    with pytest.raises(signal):
        owner.supervisor.guard("on delivery", callback)()
    assert owner.failures == []


async def test_only_the_first_failure_is_reported(owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    """Later failures are consequences; they are in the log."""
    with caplog.at_level(logging.ERROR, "kallback.test"):
        owner.supervisor.fail("reader", ValueError("first"))
        owner.supervisor.fail("writer", ValueError("second"))
    assert [str(each) for each in owner.failures] == ["first"]
    assert "second" in caplog.text


async def test_an_owner_that_raises_is_contained(caplog: pytest.LogCaptureFixture) -> None:
    """An error in `on_failure` is logged and does not hide the failure."""

    def on_failure(_: Exception) -> None:
        raise RuntimeError("no")

    supervisor = Supervisor("owner", on_failure, named_log("kallback.test"))
    supervisor.fail("reader", ValueError("broken"))
    assert "could not be reported" in caplog.text
    assert isinstance(supervisor.failure, ValueError)


async def test_stop_cancels_tasks_and_timers(owner: Owner) -> None:
    """What is cancelled by `stop` is no failure, and nothing fires later."""
    fired = list[int]()

    async def work() -> None:
        await asyncio.Event().wait()

    task = owner.supervisor.run("reader", work())
    owner.supervisor.call_later(0.01, "sweep", lambda: fired.append(1))
    await asyncio.sleep(0)
    assert await owner.supervisor.stop(5) == []
    await asyncio.sleep(0.02)
    assert (task.cancelled(), fired, owner.failures) == (True, [], [])


def wait_for(event: threading.Event) -> None:
    """Wait as a thread does that is to be ended."""
    event.wait(20)


async def test_stop_waits_for_threads(owner: Owner) -> None:
    """A thread that was asked to end is waited for, and its end is no failure."""
    asked = threading.Event()
    thread = owner.supervisor.run_thread("poll", lambda: wait_for(asked))
    asked.set()
    assert await owner.supervisor.stop(5) == []
    await asyncio.sleep(0)
    assert not thread.is_alive()


async def test_stop_names_what_does_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """`stop` always ends: within its bound, and it says what it left behind."""
    release = threading.Event()
    asyncio_release = asyncio.Event()
    supervisor = Supervisor("owner", lambda _: None, named_log("kallback.test"))

    async def stubborn() -> None:
        while not asyncio_release.is_set():
            try:
                await asyncio_release.wait()
            except asyncio.CancelledError:
                continue

    task = supervisor.run_once("stubborn", stubborn())
    supervisor.run_thread("poll", lambda: wait_for(release))
    await asyncio.sleep(0)
    assert sorted(await supervisor.stop(0.05)) == ["owner-poll", "owner-stubborn"]
    assert "parts did not end in time" in caplog.text
    release.set()
    asyncio_release.set()
    await task
    assert await supervisor.stop(5) == []


async def test_cancelling_some_of_the_tasks_is_no_failure(owner: Owner) -> None:
    """A part that ends before its owner gives its tasks back; what does not end in time is named."""
    stubborn = asyncio.Event()

    async def wait() -> None:
        await asyncio.Event().wait()

    async def ignore_cancellation() -> None:
        while not stubborn.is_set():
            try:
                await stubborn.wait()
            except asyncio.CancelledError:
                continue

    tasks = [owner.supervisor.run("good", wait()), owner.supervisor.run("stubborn", ignore_cancellation())]
    await asyncio.sleep(0)
    late = await owner.supervisor.cancel(tasks, 0.01)
    assert (late, owner.failures) == (["owner-stubborn"], [])
    stubborn.set()
    await owner.supervisor.stop(1.0)


@pytest.mark.parametrize("start", ["run", "run_once"])
async def test_a_task_whose_future_is_cancelled_by_others_is_a_failure(owner: Owner, start: str) -> None:
    """A cancelled future ends the task that waits for it, as silently as a cancel of the task would."""

    async def work() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    getattr(owner.supervisor, start)("reader", work())
    assert "reader ended unexpectedly" in str(await owner.failure())


async def test_a_log_filter_that_raises_hides_no_failure(owner: Owner) -> None:
    """The filter is the user's code; the owner is told all the same."""

    def refuse(_record: logging.LogRecord) -> bool:
        raise KeyError("tenant")

    async def work() -> None:
        raise ValueError("broken")

    logger = logging.getLogger("kallback.test")
    logger.addFilter(refuse)
    try:
        owner.supervisor.run("reader", work())
        assert isinstance(await owner.failure(), ValueError)
    finally:
        logger.removeFilter(refuse)


async def test_an_error_without_a_text_is_wrapped(owner: Owner) -> None:
    """Whoever writes or shows the failure later can do so."""

    async def work() -> None:
        raise UnprintableError

    owner.supervisor.run("reader", work())
    failure = await owner.failure()
    assert "reader ended unexpectedly: UnprintableError" in str(failure)
    assert isinstance(failure.__cause__, UnprintableError)
