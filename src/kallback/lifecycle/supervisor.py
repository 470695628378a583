"""Tasks, threads, timers and callbacks that cannot end in silence.

A part that ends although it should not looks like an empty topic: nothing fails, nothing happens. Here every
unexpected end becomes a failure that is logged once and reported to the owner, which stops with it.

Ownership: the part that creates a supervisor owns it and stops it; one supervisor belongs to one event loop. Order: the
first failure is reported, later ones are only logged. Threads report through the loop; if the loop is closed, the log
line is all that is left. Cancellation: `stop` cancels the tasks and timers, waits for tasks and threads up to its
bound, and names in the log what did not end. A task that is cancelled by `stop` or by its owner is no failure.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, ParamSpec

from kallback.protocol.errors import KallbackError
from kallback.settings.logs import NamedLog

P = ParamSpec("P")
_JOIN_INTERVAL_S: Final = 0.02  # how often a thread that was asked to end is looked at


class UnexpectedEndError(KallbackError):
    """A part that runs until it is stopped ended by itself. The cause is chained where there is one."""


class Supervisor:
    """Runs the long-lived work of one owner.

    Args:
        owner: names the owner in log lines and in the names of tasks and threads, such as `kallback-bridge`.
        on_failure: told the first failure, on the event loop; what it raises is logged.
        log: where failures are written.
    """

    def __init__(self, owner: str, on_failure: Callable[[Exception], object], log: NamedLog) -> None:
        self._owner: Final = owner
        self._on_failure: Final = on_failure
        self._log: Final = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: set[threading.Thread] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._stopping = False
        self._failure: Exception | None = None

    @property
    def failure(self) -> Exception | None:
        """The first failure; None while there is none."""
        return self._failure

    def run(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that goes on until it is cancelled: an error is a failure, and so is a return."""
        return self._start(name, work, forever=True)

    def run_once(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that comes to an end: an error is a failure, and so is a cancel of what the work waits for."""
        return self._start(name, work, forever=False)

    def run_thread(self, name: str, work: Callable[[], None], *, forever: bool = True) -> threading.Thread:
        """Run work in a daemon thread of its own; the owner must have a way to ask it to end.

        Raises:
            RuntimeError: the operating system starts no more threads.
        """
        self._remember_loop()
        thread = threading.Thread(
            target=self._run_in_thread, args=(name, work, forever), name=f"{self._owner}-{name}", daemon=True
        )
        thread.start()
        self._threads.add(thread)
        return thread

    def call_later(self, delay: float, name: str, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call `callback` after `delay` seconds, unless stopped before; its error is a failure."""
        loop = self._remember_loop()

        def fire() -> None:
            self._timers.discard(timer)
            self.guard(name, callback)()

        timer = loop.call_later(max(delay, 0.0), fire)
        self._timers.add(timer)
        return timer

    def guard(self, name: str, callback: Callable[P, object]) -> Callable[P, None]:
        """Return a callback for code that is not ours (a client, a loop): its error is a failure, and does not pass.

        Only what ends the process or a task passes: `KeyboardInterrupt`, `SystemExit`, `CancelledError`. Other classes
        beside `Exception`, such as the panics of extensions, are failures, too.
        """

        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except (KeyboardInterrupt, SystemExit, asyncio.CancelledError):
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, the owner is told
                self.fail(name, error)

        return guarded

    def fail(self, name: str, error: BaseException | None) -> None:
        """Report that a part has ended unexpectedly. Call it on the event loop."""
        if self._stopping and error is None:
            return
        failure = _failure(f"{self._owner}: {name} ended unexpectedly", error)
        self._log.error("a part ended unexpectedly", owner=self._owner, part=name, reason=str(failure))
        if self._failure is not None:
            return
        self._failure = failure
        try:
            self._on_failure(failure)
        except Exception as broken:  # noqa: BLE001 - the failure itself is in the log
            self._log.error("a failure could not be reported", owner=self._owner, part=name, reason=str(broken))

    async def stop(self, timeout: float) -> list[str]:  # noqa: ASYNC109 - a bound on what others do, reported, not raised
        """Cancel and wait for everything that runs; stopping twice is fine.

        Args:
            timeout: seconds, for tasks and threads together.

        Returns:
            the names of what did not end in time.
        """
        self._stopping = True
        for timer in tuple(self._timers):
            timer.cancel()
        self._timers.clear()
        deadline = asyncio.get_running_loop().time() + timeout
        late = [*await self.cancel(tuple(self._tasks), timeout), *await self._join_threads(deadline)]
        if late:
            self._log.error("parts did not end in time", owner=self._owner, parts=late, seconds=timeout)
        return late

    async def cancel(self, tasks: Iterable[asyncio.Task[None]], timeout: float) -> list[str]:  # noqa: ASYNC109 - as in `stop`
        """Cancel tasks of this supervisor, which is no failure, and wait for them up to `timeout` seconds.

        Returns:
            the names of those that did not end in time; `stop` waits for them once more.
        """
        tasks = {task for task in tasks if task is not asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if not tasks:
            return []
        _, pending = await asyncio.wait(tasks, timeout=max(timeout, 0.0))
        return [task.get_name() for task in pending]

    def _start(self, name: str, work: Coroutine[Any, Any, None], *, forever: bool) -> asyncio.Task[None]:
        self._remember_loop()
        task = asyncio.create_task(work, name=f"{self._owner}-{name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, name, forever))
        return task

    def _ended(self, name: str, forever: bool, task: asyncio.Task[None]) -> None:  # noqa: FBT001 - partial's argument
        self._tasks.discard(task)
        if task.cancelled():
            if not self._stopping and not task.cancelling():
                self.fail(name, None)  # what it waited for was cancelled, not the task itself
            return
        error = task.exception()
        if error is not None or forever:
            self.fail(name, error)

    def _run_in_thread(self, name: str, work: Callable[[], None], forever: bool) -> None:  # noqa: FBT001 - thread target
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:  # noqa: BLE001 - SystemExit and panics of extensions end a thread in silence
            error = caught
        if error is None and not forever:
            return
        try:
            self._remember_loop().call_soon_threadsafe(self.fail, name, error)
        except RuntimeError:  # the loop is closed
            if error is not None:
                reason = _text_of(error) or type(error).__name__
                self._log.error("a part ended unexpectedly", owner=self._owner, part=name, reason=reason)

    async def _join_threads(self, deadline: float) -> list[str]:
        loop = asyncio.get_running_loop()
        while any(thread.is_alive() for thread in self._threads) and loop.time() < deadline:  # noqa: ASYNC110 - threads
            await asyncio.sleep(_JOIN_INTERVAL_S)
        alive = {thread for thread in self._threads if thread.is_alive()}
        self._threads = alive
        return [thread.name for thread in alive]

    def _remember_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop


def _failure(sentence: str, error: BaseException | None) -> Exception:
    """Keep our own errors as they are: their sentences name the remedy. Wrap what callers cannot be asked to know.

    An error that fails at its own text is wrapped, too: whoever writes or shows the failure could not.
    """
    text = None if error is None else _text_of(error)
    if isinstance(error, Exception) and text is not None:
        return error
    failure = UnexpectedEndError(sentence if error is None else f"{sentence}: {text or type(error).__name__}")
    failure.__cause__ = error
    return failure


def _text_of(error: BaseException) -> str | None:
    """Return it as `repr` shows it; None if `str` or `repr` fails."""
    try:
        str(error)
        return repr(error)
    except BaseException:  # noqa: BLE001 - an exception class of the user may raise anything
        return None
