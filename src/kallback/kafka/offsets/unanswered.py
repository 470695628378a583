"""Since when Kafka answers nothing, from the questions that a group member asks anyway. Any thread may look.

Clients say little about an outage: aiokafka remains in its group, as far as it knows, until a heartbeat is answered
with an error, which a Kafka that is down does not send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.kafka.group_status import CHECK_BROKERS, UNANSWERED_AFTER_S
from kallback.settings import named_log

if TYPE_CHECKING:
    from collections.abc import Callable

log: Final = named_log("kallback.kafka")


class Unanswered:
    """Measures from the first question without an answer; the log says when it becomes an outage, and when it ends.

    Args:
        monotonic: seconds that only grow.
        why: the cause, where it is known; empty: it is not.
    """

    def __init__(self, monotonic: Callable[[], float], why: Callable[[], str] = str) -> None:
        self._monotonic = monotonic
        self._why = why
        self._since: float | None = None
        self._told = False

    @property
    def seconds(self) -> float:
        """For how long; 0 while Kafka answers."""
        since = self._since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def cause(self) -> str:
        """Why Kafka does not answer, where that is known; empty while it answers."""
        return "" if self._since is None else self._why()

    def answered(self) -> None:
        """Kafka has answered a question."""
        if self._told:
            log.info("Kafka answers again", seconds=round(self.seconds))
        self._since, self._told = None, False

    def failed(self) -> None:
        """A question had no answer in time."""
        if self._since is None:
            self._since = self._monotonic()
        elif not self._told and self.seconds >= UNANSWERED_AFTER_S:
            self._told = True
            log.error("Kafka does not answer", seconds=round(self.seconds), detail=self.cause or CHECK_BROKERS)
