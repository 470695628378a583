"""What the doctor could not look at: each cause is one finding, and what it hid from view is named once, in the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kallback.operations.doctor.findings import Finding, follows, problem, warning
from kallback.operations.pending import UnreadableJournalsError
from kallback.protocol import (
    AccessDeniedError,
    KafkaUnavailableError,
    KallbackError,
    MissingTopicError,
    RestateUnavailableError,
)

_SUBJECTS: Final = (
    (KafkaUnavailableError, "kafka"),
    (RestateUnavailableError, "restate"),
    (MissingTopicError, "topics"),
)


_NAMES: Final = re.compile(r"(?<=^looking up )'[^']*'(?:, '[^']*')*")
"""Those of topics, in the sentence that says that they may not be looked at."""


@dataclass(slots=True)
class _Cause:
    """Why something could not be looked at.

    Attributes:
        sentence: of the first error.
        names: what was refused by name, in quotes; a permission that is missing for many topics is one cause.
        unchecked: what, in the order of the checks; no name twice.
    """

    subject: str
    sentence: str
    names: dict[str, None] = field(default_factory=dict[str, None])
    unchecked: dict[str, None] = field(default_factory=dict[str, None])

    @property
    def whole(self) -> str:
        """The sentence of the error, with all names."""
        return _NAMES.sub(lambda _: ", ".join(self.names), self.sentence)


class Access:
    """Remembers why checks could not be made.

    Attributes:
        kafka_away: the error of a Kafka that gave no answer: it is not asked again, for each question waits as long.
        restate_away: the same of Restate's admin API.
    """

    def __init__(self) -> None:
        self._causes: Final = dict[str, _Cause]()
        self._said: Final = list[str]()
        self.kafka_away: KafkaUnavailableError | None = None
        self.restate_away: RestateUnavailableError | None = None

    def said(self, sentence: str) -> None:
        """Remember a problem that has a finding: a topic that is missing according to it is not another problem."""
        self._said.append(sentence)

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
        is_new = not self.is_known(error)
        cause = self._causes.setdefault(_key(error), _Cause(_subject(error), str(error)))
        cause.names |= dict.fromkeys(_names(error))
        cause.unchecked[check] = None
        if is_new and not cause.names:
            yield problem(cause.subject, cause.sentence)

    def add(self, error: KallbackError, check: str) -> None:
        """Record another check that could not be made for a known cause."""
        cause = self._causes.setdefault(_key(error), _Cause(_subject(error), str(error)))
        cause.names |= dict.fromkeys(_names(error))
        cause.unchecked[check] = None

    def is_known(self, error: KallbackError) -> bool:
        """Whether this cause has been said, or will be."""
        is_said = isinstance(error, MissingTopicError) and any(str(error) in each for each in self._said)
        return is_said or _key(error) in self._causes

    def unchecked(self) -> Iterator[Finding]:
        """What was not looked at, for each cause; before it the causes that have several names."""
        for cause in self._causes.values():
            if cause.names:
                yield problem(cause.subject, cause.whole)
            yield follows(cause.subject, f"because of this not checked: {', '.join(cause.unchecked)}")


def _names(error: KallbackError) -> list[str]:
    found = _NAMES.search(str(error)) if isinstance(error, AccessDeniedError) else None
    return [] if found is None else found[0].split(", ")


def _key(error: KallbackError) -> str:
    return _NAMES.sub("", str(error)) if _names(error) else str(error)


def _subject(error: KallbackError) -> str:
    return next((subject for kind, subject in _SUBJECTS if isinstance(error, kind)), "access")
