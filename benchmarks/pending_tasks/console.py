"""`kallback console` as a process, and browsers that look at its overview."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.poster import Poster
from benchmarks.processes import cpu_seconds, rss_mib, running
from kallback.testing.servers.ports import free_ports
from kallback.testing.servers.processes import ChildProcess

_REFRESH_S: Final = 5.0
"""As the console's script."""
_LOOKS: Final = 6
_TIMEOUT_S: Final = 60.0


class ConsoleProcess:
    """A console that runs, and how long its pages took.

    Attributes:
        cores: used by the console and by all browsers while these looked last.
    """

    def __init__(self, child: ChildProcess, url: str) -> None:
        self._child: Final = child
        self._url: Final = url
        self._seconds: Final[list[float]] = []
        self.cores = 0.0, 0.0

    async def warm(self) -> None:
        """Have the console read the overview, so that it knows the journals."""
        await self._read(Poster(self._url, connections=1))

    async def look(self, browsers: int, ended: threading.Event | None = None) -> None:
        """Have browsers read the overview, as long as half a minute, or until an event."""
        await asyncio.gather(*(self._look(number * _REFRESH_S / browsers, ended) for number in range(browsers)))

    @contextmanager
    def looking(self, browsers: int) -> Generator[None]:
        """Have browsers read the overview meanwhile, from a thread; at the end all of them have an answer.

        Raises:
            RuntimeError: no page was read.
        """
        ended, browsers_cpu = threading.Event(), list[float]()

        def look() -> None:
            asyncio.run(self.look(browsers, ended))
            browsers_cpu.append(time.thread_time())

        began, console_cpu = time.monotonic(), cpu_seconds(self._child.pid)
        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            took = time.monotonic() - began
            self.cores = (cpu_seconds(self._child.pid) - console_cpu) / took, sum(browsers_cpu) / took
        if not self._seconds:
            raise RuntimeError("no browser has read the overview")

    def figures(self) -> str:
        """What it cost."""
        seconds = sorted(self._seconds)
        middle, slowest = seconds[len(seconds) // 2], seconds[-1]
        memory = rss_mib(self._child.pid, "VmHWM")
        return f"{len(seconds)} pages, median {middle:.3f} s, slowest {slowest:.3f} s; console {memory:.0f} MiB at most"

    async def _look(self, delay: float, ended: threading.Event | None) -> None:
        await asyncio.sleep(delay)
        looks = 0
        browser = Poster(self._url, connections=1)
        while looks < _LOOKS if ended is None else not ended.is_set():
            began = time.perf_counter()
            await self._read(browser)
            self._seconds.append(time.perf_counter() - began)
            looks += 1
            await asyncio.sleep(_REFRESH_S)
        await browser.close()

    async def _read(self, browser: Poster) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            if b"</html>" not in await browser.get("/"):
                raise RuntimeError("the overview is no page")


@contextmanager
def console(variables: Mapping[str, str], log: Path) -> Generator[ConsoleProcess]:
    """Start it, end it."""
    [port] = free_ports(1)
    command = ["kallback.cli", "console", "--port", str(port)]
    with running("console", command, env=variables, log=log, ready="console started") as child:
        yield ConsoleProcess(child, f"http://127.0.0.1:{port}")
