"""Values on their way between a worker and its child processes."""

from __future__ import annotations

import pickle
from typing import Any


def pickled(value: Any) -> bytes:
    """A value as bytes; raises whatever pickling raises."""
    from multiprocessing.reduction import ForkingPickler  # noqa: PLC0415 - only workers with processes pay for it

    return bytes(ForkingPickler.dumps(value))


def unpickled(data: bytes) -> Any:
    """The value again; raises whatever unpickling raises."""
    return pickle.loads(data)  # noqa: S301 - from the own parent or the own child, over a private pipe
