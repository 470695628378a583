"""Child processes and temporary directories that are always cleaned up.

Every child has its own process group, so that Ctrl-C in a terminal reaches this process only, which decides in
which order they end. The starter of a child owns it: `stop` and `kill` return when it has ended. The watchdog ends what
is left when this process ends in any way (see `watchdog.py`). All calls block; they are short, except `stop`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kallback.testing.errors import ServerStartError
from kallback.testing.servers import watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

START_TIMEOUT_S = 60.0  # for a server on a busy machine with two cores; a start takes some seconds otherwise
_KEPT_LOG_BYTES = 10 * 1024 * 1024
_WATCHDOG_TIMEOUT_S = 10.0  # for the watchdog to clean up when this process exits normally


class _Watch:
    """The pipe to this process's watchdog; started with the first resource.

    Attributes:
        process: the watchdog; None before the first resource, and when this process has ended it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self._owner = 0
        self._resources: dict[str, None] = {}

    def add(self, kind: str, name: str) -> None:
        with self._lock:
            self._resources[f"{kind} {name}"] = None
            self._tell(f"+{kind} {name}")

    def remove(self, kind: str, name: str) -> None:
        with self._lock:
            self._resources.pop(f"{kind} {name}", None)
            self._tell(f"-{kind} {name}")

    def _tell(self, line: str) -> None:
        if self._owner != os.getpid():
            self._resources = {line[1:]: None}  # a fork: the parent keeps its resources
            self._start()
        try:
            self._write(line)
        except BrokenPipeError:  # the watchdog was killed: a new one takes over all resources
            self._start()
            for resource in self._resources:
                self._write(f"+{resource}")

    def _write(self, line: str) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def _start(self) -> None:
        if self._owner != os.getpid():
            atexit.register(self.close)
        self._owner = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", watchdog.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the pipe and wait until everything that was left is gone."""
        with self._lock:
            process, self.process = self.process, None
            if process is None or self._owner != os.getpid():
                return
            with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
                process.communicate(timeout=_WATCHDOG_TIMEOUT_S)
            self._owner = 0


_watch = _Watch()


def make_tree(prefix: str, *, keep: bool = False) -> Path:
    """Make a temporary directory that is removed with this process at the latest, unless `keep` is set."""
    path = Path(tempfile.mkdtemp(prefix=f"kallback-{prefix}-"))
    if not keep:
        _watch.add("tree", str(path))
    return path


def remove_tree(path: Path) -> None:
    """Remove a directory of `make_tree` now."""
    shutil.rmtree(path, ignore_errors=True)
    _watch.remove("tree", str(path))


def with_kept_log(error: ServerStartError) -> ServerStartError:
    """Return an error whose log file outlives the directory of its server: a copy that this process leaves behind."""
    if error.log is None or not error.log.exists():
        return error
    handle, name = tempfile.mkstemp(prefix="kallback-", suffix=f"-{error.log.name}")
    with error.log.open("rb") as log, os.fdopen(handle, "wb") as copy:
        log.seek(max(0, error.log.stat().st_size - _KEPT_LOG_BYTES))
        shutil.copyfileobj(log, copy)
    return ServerStartError(str(error).replace(str(error.log), name), Path(name))


def watch_container(identity: str) -> None:
    """Have the watchdog remove a container if this process ends without doing so."""
    _watch.add("container", identity)


def forget_container(identity: str) -> None:
    """Tell the watchdog that a container is removed."""
    _watch.remove("container", identity)


class ChildProcess:
    """One command in its own process group, with its output in a log file.

    Attributes:
        name: what error messages call it.
        log: the file that gets its standard output and error; a restart appends.

    Args:
        output: opens what gets them in place of the file, at each start.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        output: Callable[[], BinaryIO] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._output = output
        self._command = list(command)
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id (also its group's), or None before the first start."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process exists (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the command; nothing happens if it runs."""
        if self.running:
            return
        with self._open_output() as output:
            self._process = subprocess.Popen(  # noqa: S603 - the command is built by this package
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._env,
                start_new_session=True,
            )
        _watch.add("group", str(self._process.pid))

    def _open_output(self) -> BinaryIO:
        return self.log.open("ab") if self._output is None else self._output()

    def send_signal(self, number: int) -> None:
        """Send a signal to the whole group, if it is there."""
        if self._process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open, nothing answers."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Unfreeze it."""
        self.send_signal(signal.SIGCONT)

    def stop(self, grace: float = 10.0) -> None:
        """Ask it to end (SIGTERM), kill it after `grace` seconds, return when it has ended."""
        if self._process is not None and self.running:
            self.send_signal(signal.SIGTERM)
            self.resume()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self.kill()

    def kill(self) -> None:
        """Kill the group (SIGKILL) and return when the process has ended."""
        if self._process is None:
            return
        self.send_signal(signal.SIGKILL)
        self._process.wait()
        _watch.remove("group", str(self._process.pid))

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines it wrote."""
        if not self.log.exists():
            return "(no output)"
        text = self.log.read_bytes()[-20_000:].decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:]) or "(no output)"

    def wait_ready(self, probe: Callable[[], bool], *, timeout: float = START_TIMEOUT_S) -> None:
        """Return when the probe returns True.

        Raises:
            ServerStartError: the process ended or did not answer in time; carries its last log lines.
        """
        deadline = time.monotonic() + timeout
        while not probe():
            if not self.running:
                raise ServerStartError(
                    f"{self.name} ended with exit code {self.exit_code} before it was ready. "
                    f"Last lines of {self.log}:\n{self.log_tail()}",
                    self.log,
                )
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"{self.name} did not answer within {timeout:g} s. If this machine is busy, start it again when it "
                    f"has less to do, or allow more time. Last lines of {self.log}:\n{self.log_tail()}",
                    self.log,
                )
            time.sleep(0.03)
