"""Every reason that is ever written can be looked up."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.bridge.in_flight.parking import PARKED
from kallback.bridge.pipeline.router import REJECTED
from kallback.bridge.results.late_policy import LATE
from kallback.cli.dead_letters.reason_help import REASON_HELP
from kallback.protocol import Unusable, Unverified
from kallback.workers.attempts.dead_letter_reason import DeadLetterReason

PAGE = Path(__file__).parents[4] / "docs" / "dead-letters.md"


def test_every_reason_has_help() -> None:
    """Those of the bridge and those of workers."""
    written = {LATE, PARKED, REJECTED, *Unverified, *Unusable, *DeadLetterReason}
    assert written == set(REASON_HELP)


@pytest.mark.parametrize("reason", REASON_HELP)
def test_the_page_says_what_the_command_says(reason: str) -> None:
    """One row of its table for each reason."""
    help_text = REASON_HELP[reason]
    assert f"| `{reason}` | {help_text.meaning} | {help_text.remedy} |" in PAGE.read_text()
