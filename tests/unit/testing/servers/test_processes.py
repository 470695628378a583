"""Child processes: they start, say why they died, and never outlive their parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kallback.testing.errors import ServerStartError
from kallback.testing.servers import watchdog
from kallback.testing.servers.processes import ChildProcess, make_tree, remove_tree, with_kept_log

if TYPE_CHECKING:
    from collections.abc import Callable

_PARENT = """
import sys, time
from pathlib import Path
from kallback.testing.servers.processes import ChildProcess, make_tree

tree = make_tree("test")
child = ChildProcess("sleeper", ["sh", "-c", "trap '' TERM; sleep 300 & wait; sleep 300"], log=tree / "log")
child.start()
print(child.pid, tree, flush=True)
{end}
"""


def _wait(what: str, probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not probe():
        assert time.monotonic() < deadline, f"waited 10 s for {what}"
        time.sleep(0.02)


def _group_exists(group: int) -> bool:
    """Whether a process of the group runs; on Linux, without zombies."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent_id, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                return True
    return False


def _parent(end: str) -> tuple[subprocess.Popen[str], int, Path]:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT.format(end=end)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, tree = parent.stdout.readline().split()
    return parent, int(pid), Path(tree)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_killed_parent(number: signal.Signals) -> None:
    """However the parent is killed, its children's groups and its directories go."""
    parent, group, tree = _parent("time.sleep(300)")
    assert _group_exists(group)
    assert tree.exists()

    parent.send_signal(number)
    parent.communicate(timeout=20)

    _wait("the child's group to end", lambda: not _group_exists(group))
    _wait("the directory to go", lambda: not tree.exists())


def test_nothing_is_left_when_the_parent_has_ended() -> None:
    """A parent that just ends without stopping its child does not end before its directories are gone."""
    parent, group, tree = _parent("")

    parent.communicate(timeout=20)

    assert not tree.exists()
    _wait("the child's group to end", lambda: not _group_exists(group))


def test_a_watchdog_that_was_killed_is_replaced() -> None:
    """The next resource starts a new watchdog, which knows the earlier ones."""
    end = """
from kallback.testing.servers import processes
processes._watch.process.kill()
processes._watch.process.wait()
make_tree("another")
print("ready", flush=True)
time.sleep(300)
"""
    parent, group, tree = _parent(end)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"

    parent.kill()
    parent.communicate(timeout=20)

    _wait("the child's group to end", lambda: not _group_exists(group))
    _wait("the directory to go", lambda: not tree.exists())


def test_a_server_that_dies_at_start_shows_its_last_lines(tmp_path: Path) -> None:
    """The error carries the exit code and what the process wrote."""
    child = ChildProcess("Thing", ["sh", "-c", "echo no such option; exit 3"], log=tmp_path / "log")
    child.start()

    with pytest.raises(ServerStartError, match=r"(?s)Thing ended with exit code 3 before it was ready.*no such option"):
        child.wait_ready(lambda: False)


def test_the_log_of_a_server_that_did_not_start_is_kept(tmp_path: Path) -> None:
    """The error names a copy, because the server's own directory is removed."""
    child = ChildProcess("Thing", ["sh", "-c", "echo no such option; exit 3"], log=tmp_path / "thing.log")
    child.start()
    with pytest.raises(ServerStartError) as failure:
        child.wait_ready(lambda: False)

    kept = with_kept_log(failure.value)
    child.log.unlink()

    assert kept.log is not None
    try:
        assert f"Last lines of {kept.log}:\nno such option" in str(kept)
        assert kept.log.read_text() == "no such option\n"
    finally:
        kept.log.unlink()


def test_an_error_without_a_log_stays_as_it_is() -> None:
    """That of a server which runs elsewhere."""
    error = ServerStartError("no answer")
    assert with_kept_log(error) is error


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """A silent server ends in an error that says how long was waited."""
    child = ChildProcess("Thing", ["sleep", "300"], log=tmp_path / "log")
    child.start()

    with pytest.raises(ServerStartError, match=r"Thing did not answer within 0\.1 s"):
        child.wait_ready(lambda: False, timeout=0.1)
    child.kill()


def test_stop_kills_a_process_that_ignores_sigterm(tmp_path: Path) -> None:
    """SIGTERM first, SIGKILL after the grace; stopping twice is fine."""
    child = ChildProcess("Deaf", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], log=tmp_path / "log")
    child.start()
    child.wait_ready(lambda: "up" in child.log_tail())

    child.stop(grace=0.2)
    child.stop()

    assert child.exit_code == -signal.SIGKILL


def test_a_paused_process_can_be_stopped(tmp_path: Path) -> None:
    """Stop wakes a frozen process so that it can end in good order."""
    child = ChildProcess("Frozen", ["sleep", "300"], log=tmp_path / "log")
    child.start()
    child.pause()
    assert child.running

    child.stop(grace=5)

    assert child.exit_code == -signal.SIGTERM


def test_a_tree_is_removed_unless_kept() -> None:
    """Directories go when asked, also twice."""
    tree = make_tree("test")

    remove_tree(tree)
    remove_tree(tree)

    assert not tree.exists()


def test_resources_can_be_removed() -> None:
    """The watchdog cleans up what was added and not removed."""
    lines = ["+group 1\n", "+tree /a b\n", "-group 1\n", "+group 2\n"]

    assert watchdog.read_resources(lines) == [("tree", "/a b"), ("group", "2")]
