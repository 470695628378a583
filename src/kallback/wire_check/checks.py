"""All checks, in the order in which they are carried out. Pure."""

from __future__ import annotations

from typing import Final

from kallback.documentation import page_address
from kallback.wire_check.lifecycle_checks import LIFECYCLE_CHECKS
from kallback.wire_check.odd_record_checks import ODD_RECORD_CHECKS
from kallback.wire_check.ordinary_checks import ORDINARY_CHECKS

CHECKS: Final = (*ORDINARY_CHECKS, *LIFECYCLE_CHECKS, *ODD_RECORD_CHECKS)
ONE_ANSWER: Final = "one-answer"
"""The check on the whole run."""
PAGES: Final = {each.name: each.page for each in CHECKS} | {
    ONE_ANSWER: page_address("wire", "duplicates-and-idempotency")
}
"""Where the rule of each check is written."""
NAMES: Final = tuple(PAGES)
