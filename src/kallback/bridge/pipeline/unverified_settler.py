"""Settles records that are not authenticated: anyone can write them, so they never delay verified ones.

    router ──► budget ──► whole: a dead letter of its own, by writers of their own
       ▲          └─────► counted in a summary, with others of its reason
    screen ◄── reasons of which more come than the budget admits: for a moment, such records arrive as runs

Records that wait to be written whole hold `_MAX_HELD_BYTES` at most; what comes beyond is counted, too. So a flood of
forged records is read as fast as their tokens can be verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.pipeline.summaries import Summaries
from kallback.kafka import Consumer, LetterBudget, LetterForm, Record, size_of
from kallback.protocol import Outcome
from kallback.protocol.verification import UnverifiedResult

_MAX_HELD_BYTES: Final = 8 * 1024 * 1024


class UnverifiedSettler:
    """Gives each unverified record its outcome.

    Args:
        budget: what may be written whole.
        screen: refuses records while more come than are written whole.
        settler: writes whole dead letters.
        summaries: count the others.
    """

    def __init__(
        self,
        budget: LetterBudget,
        screen: FloodScreen,
        settler: Settler,
        summaries: Summaries,
        in_flight: InFlightLimit,
    ) -> None:
        self._budget = budget
        self._screen = screen
        self._settler = settler
        self._summaries = summaries
        self._in_flight = in_flight
        self._held_bytes = 0

    def settle(self, records: Sequence[tuple[Record, UnverifiedResult]], consumer: Consumer, since: float) -> None:
        """Settle the unverified records of a fetch, when their dead letters or their summaries are durable."""
        counted: list[Settlement] = []
        for record, verdict in records:
            if record.refused is None:
                size = size_of(record)
                fits = not self._held_bytes or self._held_bytes + size <= _MAX_HELD_BYTES
                if fits and self._budget.decide(verdict.reason, size, since) is LetterForm.WHOLE:
                    self._write_whole(FetchedRecord(record, consumer, since, size), verdict)
                    continue
                self._screen.add(verdict.reason)
            fetched = FetchedRecord(record, consumer, since, 0)
            counted.append(Settlement(fetched, Outcome.UNVERIFIED, None, verdict.reason, verdict.detail))
        self._summaries.count(counted, consumer)

    def _write_whole(self, fetched: FetchedRecord, verdict: UnverifiedResult) -> None:
        self._in_flight.acquire(fetched)
        self._held_bytes += fetched.size

        def written() -> None:
            self._held_bytes -= fetched.size

        self._settler.settle(
            Settlement(fetched, Outcome.UNVERIFIED, None, verdict.reason, verdict.detail, then=written)
        )
