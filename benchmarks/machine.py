"""What a run ran on: figures without it mean nothing."""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import re
import time
from pathlib import Path
from typing import Any, Final

import httpx

from kallback.testing import Stack

_TURNS: Final = 50_000


def describe(stack: Stack) -> dict[str, Any]:
    """Processor, versions, and what else is going on."""
    return {
        "processor": _first(r"model name\s*:\s*(.+)", "/proc/cpuinfo"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_first(r"MemTotal:\s*(\d+)", "/proc/meminfo") or 0) / 1024**2, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": stack.kafka.description.split(":")[0],
        "restate": httpx.get(f"{stack.admin_url}/version", timeout=10).json()["version"],
    }


def load_average() -> float:
    """Of the last minute, as the kernel counts it."""
    return round(os.getloadavg()[0], 2)


def yardstick() -> float:
    """CPU microseconds of one HMAC-SHA256 in Python, now.

    On a shared machine the same work takes more CPU time while the neighbours are busy: figures of CPU can be compared
    where this one is alike.
    """
    began = time.process_time()
    for _ in range(_TURNS):
        hmac.new(b"k" * 32, b"m" * 120, hashlib.sha256).digest()
    return round((time.process_time() - began) / _TURNS * 1e6, 2)


def surroundings() -> dict[str, float]:
    """What else is going on, as far as it can be seen."""
    return {"load_average": load_average(), "yardstick_us": yardstick()}


def _first(pattern: str, path: str) -> str:
    found = re.search(pattern, Path(path).read_text())
    return found[1].strip() if found else ""
