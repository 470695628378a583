"""Signals, as a service sees them."""

import asyncio
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kallback.cli.runner import serve
from kallback.health import Phase
from kallback.protocol import ConfigurationError

ROOT = Path(__file__).parents[3]


class Recorder:
    """A service that runs until it is stopped, and asks for a signal once it runs."""

    def __init__(
        self, number: int | None = None, failure: Exception | None = None, phase: Phase = Phase.RUNNING
    ) -> None:
        self.events: list[str] = []
        self.phase = phase
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
        try:
            await self._stopped.wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise
        self.events.append("drained")

    async def stop(self) -> None:
        """Record."""
        self.events.append("asked to stop")
        self._stopped.set()


class SignalledTwice(Recorder):
    """A service that is told to stop by two signals."""

    async def run(self) -> None:
        """Send the first, and the second when that has been heard."""
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        await super().run()


class Forking(Recorder):
    """A service one of whose threads forks a process, terminates it, and says how it ended."""

    async def run(self) -> None:
        """Fork in a thread, as a plain task function does."""
        await asyncio.to_thread(self.fork)
        await asyncio.sleep(0)  # a signal that reached this loop would be seen now
        self.events.append("still running")

    def fork(self) -> None:
        """Start, terminate, join."""
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        process.start()
        process.terminate()
        process.join(10)
        self.events.append(f"fork ended with {process.exitcode}")


_FORKING = """
from tests.unit.cli.test_runner import Forking, serve
service = Forking()
serve(service)
print(service.events)
"""


def test_a_signal_to_a_fork_ends_the_fork_and_not_the_service() -> None:
    """`multiprocessing.Process.terminate` in a task function is no signal to the worker."""
    shown = subprocess.run(
        [sys.executable, "-c", _FORKING], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert shown.stdout.strip() == f"['fork ended with {-signal.SIGTERM}', 'still running']"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_service(number: int) -> None:
    """SIGTERM and Ctrl-C mean: stop cleanly, and the process waits for it."""
    service = Recorder(number)
    serve(service)
    assert service.events == ["running", "asked to stop", "drained"]


def test_a_second_signal_ends_the_process_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, with an exit code of its own."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    serve(SignalledTwice())
    assert codes == [130]
    assert "SIGINT: ending at once" in caplog.text


def test_a_signal_during_the_start_cancels_it() -> None:
    """A server that does not answer cannot delay the end; what was started is stopped."""
    service = Recorder(signal.SIGTERM, phase=Phase.STARTING)
    serve(service)
    assert service.events == ["running", "cancelled", "asked to stop"]


def test_what_ends_the_service_for_good_is_raised() -> None:
    """A service that cannot go on ends the command with its own error."""
    with pytest.raises(ConfigurationError, match="wrong key"):
        serve(Recorder(failure=ConfigurationError("wrong key")))


WORKER = """
from kallback.protocol import TaskType
from kallback.workers import Worker

worker = Worker("kitchen")


@worker.task(TaskType("shop.pack", request=str, result=str))
async def pack(order: str) -> str:
    return order
"""


def test_a_worker_whose_kafka_does_not_answer_ends_at_sigterm(tmp_path: Path) -> None:
    """It may take five minutes to connect; the signal does not wait for that."""
    (tmp_path / "kitchen_module.py").write_text(WORKER)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        frozen.settimeout(60)
        process = subprocess.Popen(
            [sys.executable, "-m", "kallback.cli", "worker", "kitchen_module:worker"],
            cwd=tmp_path,
            env={
                **os.environ,
                "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{frozen.getsockname()[1]}",
                "KALLBACK_KAFKA_CONNECT_TIMEOUT": "300",
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        with process, frozen.accept()[0]:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
    assert (process.returncode, "stopped before the start was complete" in log) == (0, True)
