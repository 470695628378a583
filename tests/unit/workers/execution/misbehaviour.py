"""One task function that ends in every bad way; the request names the way. Child processes import it from here."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from kallback.workers import TaskContext, TaskFailure

MEGABYTES = 4


class PickyError(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)
        self.other = other


class PanicError(BaseException):
    """What extensions written in Rust raise."""


class CarelessFailure(TaskFailure):
    """A failure that forgets the construction of its base class."""

    def __init__(self) -> None:
        """Set nothing."""


class UnprintableError(Exception):
    """An exception that fails at its own text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class PanickingError(Exception):
    """An exception whose text is no `Exception` away."""

    def __str__(self) -> str:
        raise PanicError("no text")


class Wordless:
    """A value without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Trap:
    """A value that can be pickled and not unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return _explode, ("unpickled",)


class ExitTrap:
    """A value that leaves the process where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[int], NoReturn], tuple[int]]:
        return sys.exit, (3,)


class NumpyLikeBool:
    """A truth value that is no `bool`, as that of numpy."""

    def __bool__(self) -> bool:
        return True


def _explode(why: str) -> NoReturn:
    raise PickyError(why, "other")


def failure_with_a_cause(_task: TaskContext) -> NoReturn:
    """Put an exception into a failure."""
    raise TaskFailure("Broken", "with a cause", cause=PickyError("one", "two"))


def failure_with_a_trap(_task: TaskContext) -> NoReturn:
    """Put a value that cannot be unpickled into a failure."""
    raise TaskFailure("Broken", "with a trap", trap=Trap())


def failure_with_an_odd_flag(_task: TaskContext) -> NoReturn:
    """Say `retryable` with a truth value of another library."""
    flag: Any = NumpyLikeBool()
    raise TaskFailure("Broken", "with a flag", retryable=flag)


def careless_failure(_task: TaskContext) -> NoReturn:
    """Raise a failure that has no problem."""
    raise CarelessFailure


def picky_error(_task: TaskContext) -> NoReturn:
    """Raise what cannot be unpickled."""
    raise PickyError("one", "two")


def unprintable_error(_task: TaskContext) -> NoReturn:
    """Raise what has no text."""
    raise UnprintableError


def panic(_task: TaskContext) -> NoReturn:
    """Raise a `BaseException`."""
    raise PanicError("the extension panicked")


def keyboard_interrupt(_task: TaskContext) -> NoReturn:
    """Raise what would end the event loop."""
    raise KeyboardInterrupt


def system_exit(_task: TaskContext) -> NoReturn:
    """Raise what would end the process."""
    raise SystemExit(3)


def wordless_exit(_task: TaskContext) -> NoReturn:
    """Raise what would end the process, with a status that has no text."""
    sys.exit(Wordless())  # type: ignore[arg-type]  # `sys.exit` takes any object


def panicking_error(_task: TaskContext) -> NoReturn:
    """Raise what panics at its own text."""
    raise PanickingError


def generator_exit(_task: TaskContext) -> NoReturn:
    """Raise what ends generators."""
    raise GeneratorExit


def unpicklable_value(_task: TaskContext) -> Any:
    """Return what can neither be pickled nor encoded."""
    return threading.Lock()


def trap_value(_task: TaskContext) -> Any:
    """Return what can be pickled and not unpickled."""
    return Trap()


def megabytes(_task: TaskContext) -> str:
    """Print and log more than any pipe holds."""
    line = "x" * 1_000_000
    for _ in range(MEGABYTES):
        sys.stdout.write(line)
        sys.stderr.write(line)
        logging.getLogger("kitchen.oven").warning(line)
    return "printed"


def log_badly(_task: TaskContext) -> str:
    """Log a line whose arguments do not fit."""
    logging.getLogger("kitchen.oven").warning("%d dishes", "many")
    return "logged"


def log_a_trap(_task: TaskContext) -> str:
    """Log a line with a value that cannot be unpickled, and raises more than an `Exception` then."""
    logging.getLogger("kitchen.oven").warning("hot", extra={"trap": ExitTrap()})
    return "logged"


def wait_for_cancel(task: TaskContext) -> str:
    """Wait until cancelled, as a thread or process does."""
    task.heartbeat("begun")
    while not task.cancelled:
        time.sleep(0.005)
    return "late"


def sleep(task: TaskContext) -> str:
    """Do not look at `cancelled`."""
    task.heartbeat("begun")
    time.sleep(600)
    return "late"


def leave(_task: TaskContext) -> NoReturn:
    """End the process without a word."""
    os._exit(3)


def _fork() -> None:
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)


def die_sending(_task: TaskContext) -> NoReturn:
    """Be killed in the middle of a message, and leave a fork behind that holds the pipe."""
    thread = threading.Thread(target=_fork)  # forks of the main thread end with it
    thread.start()
    thread.join()
    os.write(_pipe_to_worker().fileno(), b"\0\0\0")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _pipe_to_worker() -> Connection:
    """The child's end of the pipe to its worker."""
    found = next(each for each in gc.get_objects() if isinstance(each, Connection) and each.readable and each.writable)
    assert isinstance(found, Connection)
    return found


def misbehave(way: str, task: TaskContext) -> Any:
    """End in the way that the request names; "good" ends well."""
    if way == "good":
        return "good"
    function: Callable[[TaskContext], Any] = globals()[way]
    return function(task)
