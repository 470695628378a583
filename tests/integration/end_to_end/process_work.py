"""Functions of process tasks: a child process imports them."""

from __future__ import annotations

import time
from pathlib import Path


def work(text: str) -> str:
    """Return at once, or leave a file of that name and work until the process is ended."""
    if text.startswith("/"):
        Path(text).touch()
        time.sleep(600)
    return f"done: {text}"
