"""How many heaps a process has."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from kallback.cli import heap

HEAPS = """
import ctypes, re, sys, threading
from kallback.cli.heap import use_one_heap

use_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def allocate():
    libc.malloc(1000)
    together.wait()

together = threading.Barrier(4)
threads = [threading.Thread(target=allocate) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.malloc_stats()
"""


def heaps(**variables: str) -> int:
    """Count the heaps of a process in which four threads allocate at one time."""
    command = [sys.executable, "-c", HEAPS]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return sum(line.startswith("Arena ") for line in done.stderr.splitlines())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
def test_threads_share_one_heap() -> None:
    """What is free in the heap of one thread serves no other: hostile records took twice as much memory."""
    assert heaps() == 1


LARGE = """
import ctypes
from kallback.cli.heap import use_one_heap

use_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.sbrk.restype = ctypes.c_void_p, ctypes.c_void_p
libc.free.argtypes = (ctypes.c_void_p,)
libc.free(libc.malloc(8_000_000))
before = libc.sbrk(0)
libc.malloc(4_000_000)
print(libc.sbrk(0) - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc grows the heap for large pieces")
def test_a_large_piece_does_not_grow_the_heap() -> None:
    """Its pages go back to the system when it is freed; by default glibc keeps those that follow the first."""
    done = subprocess.run([sys.executable, "-c", LARGE], env={}, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has a heap for each thread")
def test_who_has_set_the_number_of_heaps_has_decided() -> None:
    """A worker whose own threads allocate a lot may need more."""
    assert heaps(MALLOC_ARENA_MAX="3") == 3


def test_a_c_library_without_the_limit_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems and C libraries know no such limit."""

    def library(_name: None) -> object:
        return object()

    monkeypatch.delenv(heap.VARIABLE, raising=False)
    monkeypatch.setattr("ctypes.CDLL", library)
    heap.use_one_heap()
