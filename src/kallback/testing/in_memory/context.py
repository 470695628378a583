"""The SDK's own context on the restate in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from restate.server_context import ServerInvocationContext
from restate.vm import Invocation, VMWrapper

from kallback.testing.in_memory.restate import INVOCATION_ID, InMemoryRestate


class Channel:
    """Stands where the SDK hears from a server: hearing something is letting one more thing happen."""

    def __init__(self, step: Callable[[], Awaitable[None]], changed: Callable[[], None]) -> None:
        self._step: Final = step
        self._changed: Final = changed

    async def __call__(self) -> dict[str, Any]:
        """The next message: something happened."""
        await self._step()
        return {"type": "restate.run_completed", "data": None}

    async def enqueue_restate_event(self, _event: object) -> None:
        """A step is over."""
        self._changed()


class MemoryContext(ServerInvocationContext):
    """The SDK's context, with a step's repetition in place and the test's time."""

    def __init__(self, restate: InMemoryRestate, key: str, now: Callable[[], float], channel: Channel) -> None:
        invocation = Invocation(INVOCATION_ID, 0, [], b"", key)
        super().__init__(
            cast("VMWrapper", restate), cast("Any", None), invocation, {}, _nothing_sent, cast("Any", channel)
        )
        self._restate: Final = restate
        self._now: Final = now

    def end(self) -> None:
        """The handler ended: so does what it began."""
        self.on_attempt_finished()  # type: ignore[no-untyped-call]  # it has no annotation

    def time(self) -> Any:
        """The test's time."""
        return self.run_typed("timestamp", lambda: self._now())  # noqa: PLW0108 - run_typed reads its signature

    async def create_run_coroutine(self, handle: int, *arguments: Any, **options: Any) -> None:
        """Run a step until it is completed."""
        try:
            await super().create_run_coroutine(handle, *arguments, **options)
            while self._restate.again(handle):
                await super().create_run_coroutine(handle, *arguments, **options)
        finally:
            self._restate.running -= 1


async def _nothing_sent(_event: object) -> None:
    """There is no server."""
