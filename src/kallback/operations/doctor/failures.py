"""What mends a handler that fails again and again, by what Restate says of its failure. Pure."""

from __future__ import annotations

from typing import Final

from kallback.documentation import page_address
from kallback.operations.invocations import InvocationStatus

_ADMIN: Final = "${KALLBACK_RESTATE_ADMIN_URL:-http://localhost:9070}"
_MISMATCHES: Final = ("Journal mismatch", "mismatch between the code paths")
"""Error 570 of Restate and its SDKs: a replay takes other steps than the journal has."""


def admin_command(verb: str, invocation_id: str) -> str:
    """What to type to have Restate do something to an invocation, with its own command or without."""
    return f'restate invocations {verb} {invocation_id}, or curl -X PATCH "{_ADMIN}/invocations/{invocation_id}/{verb}"'


def repair_of(invocation: InvocationStatus) -> str:
    """What to do, without what follows for a paused invocation."""
    if any(each in (invocation.last_failure or "") for each in _MISMATCHES):
        return (
            "its code takes other steps than when it began: serve the earlier code at the address of its deployment "
            "again and register the new code at another one, or cancel the invocation "
            f"({admin_command('cancel', invocation.id)}): "
            f"{page_address('deploy', 'changed-code-under-a-waiting-handler')}"
        )
    return "repair the handler or its endpoint"
