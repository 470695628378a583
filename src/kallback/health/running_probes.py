"""Probes of a process that only answers requests: it is ready while it listens, and live as long as its loop turns.

An outage of Kafka or Restate does not change that: a request is answered with an error then, or waits.
"""

from __future__ import annotations

from typing import Final, Protocol

from kallback.health.phases import Phase
from kallback.health.server import ProbeResult


class HasPhase(Protocol):
    """What is observed."""

    @property
    def phase(self) -> Phase:
        """Where in its life it is."""
        ...


class RunningProbes:
    """The probes of one process, for its health port.

    Args:
        name: of its role, in the reason why it is not ready.
        observed: has its phase.
    """

    def __init__(self, name: str, observed: HasPhase) -> None:
        self._name: Final = name
        self._observed: Final = observed

    def look(self) -> None:
        """Nothing to remember."""

    def live(self) -> ProbeResult:
        """Whether a restart would not help: an answer shows that the loop turns."""
        return self._result([])

    def ready(self) -> ProbeResult:
        """Whether requests are answered now."""
        phase = self._observed.phase
        return self._result([] if phase is Phase.RUNNING else [f"the {self._name} is {phase}"])

    def _result(self, reasons: list[str]) -> ProbeResult:
        return ProbeResult(ok=not reasons, reasons=reasons, phase=self._observed.phase, partitions=None, lag=None)
