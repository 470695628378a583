"""The pipe to a child process: whole messages, or word that the child has died. The test holds the child's end."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import TYPE_CHECKING

import pytest

from kallback.workers.execution.child_pipe import ChildEnd, WorkerEnd
from kallback.workers.pickling import pickled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

LARGE = b"x" * 4_000_000
"""More than the pipe holds."""


@pytest.fixture
def pipe() -> Iterator[tuple[Connection, Connection]]:
    """Two ends."""
    ends = multiprocessing.Pipe()
    yield ends
    for each in ends:
        each.close()


@pytest.mark.parametrize("message", [b"", LARGE])
def test_messages_of_any_size_go_both_ways(pipe: tuple[Connection, Connection], message: bytes) -> None:
    """What the child receives it sends back."""
    worker, child = WorkerEnd(pipe[0], lambda: True), ChildEnd(pipe[1])
    echo = threading.Thread(target=lambda: child.send(child.receive()))
    echo.start()
    worker.send(message)
    assert worker.receive() == message
    echo.join()


def test_half_a_message_of_a_dead_child_is_its_end(pipe: tuple[Connection, Connection]) -> None:
    """A process that the child has forked holds the pipe open."""
    worker = WorkerEnd(pipe[0], lambda: False)
    os.write(pipe[1].fileno(), bytes(5))
    with pytest.raises(EOFError):
        worker.receive()


def test_a_message_that_a_dead_child_does_not_take_is_its_end(pipe: tuple[Connection, Connection]) -> None:
    """It was killed while it received."""
    worker = WorkerEnd(pipe[0], lambda: False)
    with pytest.raises(EOFError):
        worker.send(LARGE)


def test_what_a_dead_child_has_sent_is_received(pipe: tuple[Connection, Connection]) -> None:
    """A child may end right after its answer."""
    worker = WorkerEnd(pipe[0], lambda: False)
    ChildEnd(pipe[1]).send("answer")
    assert worker.receive() == "answer"


def test_messages_between_jobs_are_dropped_whole(pipe: tuple[Connection, Connection]) -> None:
    """One that is being sent meanwhile comes whole."""
    worker, child = WorkerEnd(pipe[0], lambda: True), ChildEnd(pipe[1])
    body = pickled("late")
    framed = len(body).to_bytes(8, "big") + body
    child.send("dropped")
    os.write(pipe[1].fileno(), framed[:10])
    worker.discard()
    os.write(pipe[1].fileno(), framed[10:])
    assert worker.receive() == "late"


def test_a_closed_pipe_is_the_end_of_the_child(pipe: tuple[Connection, Connection]) -> None:
    """Nothing holds the other end."""
    worker = WorkerEnd(pipe[0], lambda: True)
    pipe[1].close()
    with pytest.raises(EOFError):
        worker.receive()
    with pytest.raises(OSError, match="pipe"):
        worker.send("job")
