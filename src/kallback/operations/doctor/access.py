"""What the doctor could not look at: each cause is one finding, and what it hid from view is named once, in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kallback.operations.doctor.findings import Finding, follows, problem, warning
from kallback.operations.pending import UnreadableJournalsError
from kallback.protocol import KafkaUnavailableError, KallbackError, RestateUnavailableError

_SUBJECTS: Final = ((KafkaUnavailableError, "kafka"), (RestateUnavailableError, "restate"))


@dataclass(slots=True)
class _Cause:
    """Why something could not be looked at.

    Attributes:
        unchecked: what, in the order of the checks; no name twice.
    """

    subject: str
    unchecked: dict[str, None] = field(default_factory=dict[str, None])


class Access:
    """Remembers why checks could not be made.

    Attributes:
        kafka_away: the error of a Kafka that gave no answer: it is not asked again, for each question waits as long.
        restate_away: the same of Restate's admin API.
    """

    def __init__(self) -> None:
        self._causes: Final = dict[str, _Cause]()
        self.kafka_away: KafkaUnavailableError | None = None
        self.restate_away: RestateUnavailableError | None = None

    def failed(self, error: KallbackError, check: str) -> Iterator[Finding]:
        """Record a check that could not be made; the cause is a finding the first time.

        Args:
            error: why not.
            check: what was not looked at, as a list names it.
        """
        if isinstance(error, UnreadableJournalsError):  # it may well have ended
            yield warning("task", str(error))
            return
        if isinstance(error, KafkaUnavailableError):
            self.kafka_away = self.kafka_away or error
        elif isinstance(error, RestateUnavailableError):
            self.restate_away = self.restate_away or error
        if is_new := str(error) not in self._causes:
            self._causes[str(error)] = _Cause(_subject(error))
        self._causes[str(error)].unchecked[check] = None
        if is_new:
            yield problem(_subject(error), str(error))

    def add(self, error: KallbackError, check: str) -> None:
        """Record another check that could not be made for a known cause."""
        self._causes[str(error)].unchecked[check] = None

    def is_known(self, error: KallbackError) -> bool:
        """Whether this cause has been said."""
        return str(error) in self._causes

    def unchecked(self) -> Iterator[Finding]:
        """What was not looked at, for each cause."""
        for cause in self._causes.values():
            yield follows(cause.subject, f"because of this not checked: {', '.join(cause.unchecked)}")


def _subject(error: KallbackError) -> str:
    return next((subject for kind, subject in _SUBJECTS if isinstance(error, kind)), "access")
