"""Every reason that is ever written can be looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.bridge.in_flight.parking import PARKED
from kallback.bridge.pipeline.router import REJECTED
from kallback.bridge.results.late_policy import LATE
from kallback.cli.dead_letters.reasons import ADVICE
from kallback.protocol import Unusable, Unverified
from kallback.workers.attempts.registry import DeadReason

PAGE = Path(__file__).parents[3] / "docs" / "dead-letters.md"


def test_every_reason_has_advice() -> None:
    """Those of the bridge and those of workers."""
    written = {LATE, PARKED, REJECTED, *Unverified, *Unusable, *DeadReason}
    assert written == set(ADVICE)


@pytest.mark.parametrize("reason", ADVICE)
def test_the_page_says_what_the_command_says(reason: str) -> None:
    """One row of its table for each reason."""
    advice = ADVICE[reason]
    assert f"| `{reason}` | {advice.meaning} | {advice.remedy} |" in PAGE.read_text()
