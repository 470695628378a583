"""Signals, as a service sees them."""

import asyncio
import os
import signal

import pytest

from kallback.cli.runner import serve
from kallback.protocol import ConfigurationError


class Recorder:
    """A service that runs until it is stopped, and asks for a signal once it runs."""

    def __init__(self, number: int | None = None, failure: Exception | None = None) -> None:
        self.events: list[str] = []
        self._number = number
        self._failure = failure
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Record, ask for the signal, wait."""
        self.events.append("running")
        if self._failure is not None:
            raise self._failure
        if self._number is not None:
            os.kill(os.getpid(), self._number)
        await self._stopped.wait()
        self.events.append("drained")

    async def stop(self) -> None:
        """Record."""
        self.events.append("asked to stop")
        self._stopped.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_service(number: int) -> None:
    """SIGTERM and Ctrl-C mean: stop cleanly, and the process waits for it."""
    service = Recorder(number)
    serve(service)
    assert service.events == ["running", "asked to stop", "drained"]


def test_what_ends_the_service_for_good_is_raised() -> None:
    """A service that cannot go on ends the command with its own error."""
    with pytest.raises(ConfigurationError, match="wrong key"):
        serve(Recorder(failure=ConfigurationError("wrong key")))
