"""Waiting in tests: poll with a deadline, and say what was waited for."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


@overload
async def eventually(
    what: str,
    probe: Callable[[], Awaitable[T | None]],
    *,
    timeout: float = ...,  # noqa: ASYNC109 - see below
    interval: float = ...,
) -> T: ...


@overload
async def eventually(
    what: str,
    probe: Callable[[], T | None],
    *,
    timeout: float = ...,  # noqa: ASYNC109 - see below
    interval: float = ...,
) -> T: ...


async def eventually(
    what: str,
    probe: Callable[[], Any],
    *,
    timeout: float = 60.0,  # noqa: ASYNC109 - its own error names what was waited for
    interval: float = 0.05,
) -> Any:
    """Call the probe, a plain or an async function, until it returns a true value; return that.

    Raises:
        AssertionError: it did not within `timeout` seconds; names what was waited for and the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; the last answer was {value!r}")
        await asyncio.sleep(interval)
