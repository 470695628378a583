"""Runs the programs of `kallback dev`: starts them, starts anew what a change concerns, stops them.

One thread calls this, and waits for threads that start or stop one program each; each program has a thread that reads
its lines. A program that ends is reported once and starts again with the next change, as do all that import the
developer's modules: which of them a file concerns is not known.
"""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from kallback.testing.dev.registration import NotRegistered, register
from kallback.testing.dev.running_program import RunningProgram
from kallback.testing.servers.ports import accepts

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kallback.testing.dev.output import ProgramOutput
    from kallback.testing.dev.programs import Program

_READY_TIMEOUT_S: Final = 60.0
_READY_PAUSE_S: Final = 0.03


class ProgramGroup:
    """The programs.

    Args:
        programs: at least one.
        output: gets their lines, and what is to be said of them.
        environ: of this process, without settings of kallback.
        admin_url: of Restate.
        own_services: names of kallback's own services in Restate.
        end: when it is set, nothing is waited for any more.
        starts_again: when a program that has ended starts again, for those who read that it has.

    Attributes:
        handlers: paths of the handlers of each service that runs, as Restate knows them.
    """

    def __init__(
        self,
        programs: Iterable[Program],
        output: ProgramOutput,
        environ: Mapping[str, str],
        *,
        admin_url: str,
        own_services: frozenset[str],
        end: threading.Event,
        starts_again: str,
    ) -> None:
        self.handlers: dict[str, tuple[str, ...]] = {}
        self._output = output
        self._admin_url = admin_url
        self._own_services = own_services
        self._end = end
        self._starts_again = starts_again
        self._running = [RunningProgram(each, output, environ) for each in programs]
        self._ended: set[str] = set()

    def start(self) -> None:
        """Start all at once, and return when they are ready."""
        self._at_once(self._start, self._running)

    def restart(self, names: Collection[str] = ()) -> None:
        """Start programs anew, the developer's own first.

        Args:
            names: of the programs; by default those that import the developer's modules, and those that have ended.
        """
        if names:
            concerned = [each for each in self._running if each.program.name in names]
        else:
            concerned = [each for each in self._running if each.program.reloads or not each.is_running]
        for is_own in (True, False):
            some = [each for each in concerned if each.program.is_own is is_own]
            self._at_once(RunningProgram.stop, some)
            self._at_once(self._start, some)

    def report_ended(self) -> None:
        """Say which programs have ended since the last call."""
        for each in self._running:
            if not each.is_running and each.program.name not in self._ended and not self._end.is_set():
                self._ended.add(each.program.name)
                each.show_last_lines()
                self._say(each.program, f"{_ended(each.exit_code)}; {self._starts_again}")

    def stop(self) -> None:
        """Stop the developer's programs, then those that they need."""
        for is_own in (True, False):
            self._at_once(RunningProgram.stop, [each for each in self._running if each.program.is_own is is_own])

    def is_running(self, name: str) -> bool:
        """Whether a program runs."""
        return any(each.is_running for each in self._running if each.program.name == name)

    def _at_once(self, act: Callable[[RunningProgram], None], some: list[RunningProgram]) -> None:
        with ThreadPoolExecutor(max_workers=len(self._running)) as pool:
            list(pool.map(act, some))

    def _start(self, each: RunningProgram) -> None:
        if self._end.is_set():
            return
        self._ended.discard(each.program.name)
        each.start()
        if each.program.is_shown:
            self._say(each.program, f"runs as process {each.pid}")
        self._wait_ready(each)
        if each.program.is_service and each.is_running and not self._end.is_set():
            self._register(each.program)

    def _wait_ready(self, each: RunningProgram) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while each.is_running and not accepts(each.program.port) and not self._end.wait(_READY_PAUSE_S):
            if time.monotonic() > deadline:
                self._say(each.program, f"does not listen on port {each.program.port} after {_READY_TIMEOUT_S:g} s")
                return

    def _register(self, program: Program) -> None:
        found = register(self._admin_url, program.url, besides=self._own_services)
        if isinstance(found, NotRegistered):
            self.handlers.pop(program.name, None)
            self._say(program, f"Restate does not take {program.url}: {found.reason}")
            return
        if self.handlers.get(program.name) != found.handlers:
            self._say(program, f"Restate knows {', '.join(found.handlers) or 'no handler of it'}")
        self.handlers[program.name] = found.handlers

    def _say(self, program: Program, text: str) -> None:
        self._output.write(program.name, f"** {text}")


def _ended(exit_code: int | None) -> str:
    """How a process ended: by itself, or killed by a signal, whose exit code is negative."""
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-exit_code}"
