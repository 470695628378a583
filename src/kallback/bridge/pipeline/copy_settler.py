"""Settles copies: records of which what matters is kept already, or was delivered.

Copies of a late result that has a dead letter are counted in a summary. The others leave nothing but their outcome, one
for each run of them. From the first copy on the screen recognizes those that follow, so that many cost little.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kallback.bridge.in_flight.limits import InFlightLimit
from kallback.bridge.in_flight.records import FetchedRecord
from kallback.bridge.pipeline.flood_screen import FloodScreen
from kallback.bridge.pipeline.settler import Settlement, Settler
from kallback.bridge.pipeline.summaries import Summaries
from kallback.bridge.results.decide import KnownCopy

_COUNTED: Final = "copies of late results that have dead letters of their own"


class CopySettler:
    """Gives each copy, or run of copies, its outcome."""

    def __init__(self, screen: FloodScreen, settler: Settler, summaries: Summaries, in_flight: InFlightLimit) -> None:
        self._screen = screen
        self._settler = settler
        self._summaries = summaries
        self._in_flight = in_flight

    def settle(self, fetched: FetchedRecord, copy: KnownCopy) -> None:
        """Settle a copy that is in flight."""
        self._screen.expect_copies()
        settlement = Settlement(fetched, copy.outcome, copy.target, copy.reason)
        if not settlement.dead_lettered:
            self._settler.settle(settlement)
            return
        self._summaries.count([msgspec.structs.replace(settlement, detail=_COUNTED)], fetched.consumer)
        self._in_flight.release(fetched)  # not before: something of it is in flight all the time
