"""The durable promises of a workflow, in memory: each is completed once, and whoever waits for it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from restate.vm import Failure

PromiseValue = bytes | Failure
OnValue = Callable[[PromiseValue | None], None]

_CONFLICT: Final = 409


class SimulatedPromises:
    """Promises by their names. A test has those of one workflow."""

    def __init__(self) -> None:
        self._values: Final = dict[str, PromiseValue]()
        self._waiting: Final = defaultdict[str, list[OnValue]](list)

    def complete(self, name: str, value: PromiseValue) -> Failure | None:
        """Resolve or reject a promise; returns Restate's answer if that was done before, which then counts."""
        if name in self._values:
            return Failure(_CONFLICT, "promise was already completed")
        self._values[name] = value
        for tell in self._waiting.pop(name, ()):
            tell(value)
        return None

    def get(self, name: str, tell: OnValue) -> None:
        """Tell the value, as soon as there is one."""
        if name in self._values:
            tell(self._values[name])
        else:
            self._waiting[name].append(tell)

    def peek(self, name: str) -> PromiseValue | None:
        """Return the value; None if there is none yet."""
        return self._values.get(name)
