"""Calls that may never return, made so that whoever waits for them can stop waiting."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def daemon_call(call: Callable[[], T], name: str) -> Future[T]:
    """Call in a daemon thread: it does not hold up the end of the process, as the threads of executors do.

    Args:
        call: what blocks.
        name: of the thread.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - a SystemExit of the user's function, too, is for who waits
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
