"""Values on their way between a worker and its child processes."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from typing import Any


def pickled(value: Any) -> bytes:
    """A value as bytes; raises whatever pickling raises."""
    return bytes(ForkingPickler.dumps(value))


def unpickled(data: bytes) -> Any:
    """The value again; raises whatever unpickling raises."""
    return pickle.loads(data)  # noqa: S301 - from the own parent or the own child, over a private pipe
