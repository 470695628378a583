"""One heap for all threads of a process, and none of it for large pieces.

glibc gives each thread a heap of its own (an arena). librdkafka allocates in its threads what others free, and what is
free in one heap serves no other thread: 0.4 MB of records that are all headers took 229 MiB of a bridge, and take 129.

A large piece gets pages of its own, which go back to the system when it is freed. But with each such piece that is
freed, glibc raises the size from which it does so, up to 32 MiB, and a decompressed batch then leaves a hole in the
heap. Setting the size keeps it.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

VARIABLE: Final = "MALLOC_ARENA_MAX"
"""What glibc itself reads; who has set it has decided."""
_M_MMAP_THRESHOLD: Final = -3  # both of glibc's malloc.h
_M_ARENA_MAX: Final = -8
_LARGE_BYTES: Final = 256 * 1024


def use_one_heap() -> None:
    """Let glibc make no more heaps; before other threads begin. Other C libraries know no such limit."""
    if VARIABLE in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # TypeError: Windows
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
