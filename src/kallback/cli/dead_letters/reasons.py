"""What each reason of a dead letter means and what to do, for `kallback dead-letters show` and docs/dead-letters.md.

A test holds this table against the reasons that bridge and workers write, and the page against the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Advice:
    """One reason.

    Attributes:
        meaning: what was wrong with the record.
        remedy: what an operator can do.
    """

    meaning: str
    remedy: str


_HOPELESS: Final = "Mend the worker. Replaying changes nothing: the same bytes have the same token."
_TOLD: Final = "The caller was told at once, with urn:kallback:unusable-result. Mend the worker; replaying is useless."

ADVICE: Final = {
    "no-token": Advice(
        "The result echoes no token, so nobody knows which task it answers.",
        "Mend the worker: it must echo the task's header kallback-token. Replaying changes nothing.",
    ),
    "malformed-token": Advice("What stands for a token has not its shape: cut, altered or made up.", _HOPELESS),
    "unknown-key": Advice(
        "The token is signed with a key that the bridge does not have: services signed with a new key before the "
        "bridges knew it, or an old key was removed too early.",
        "Give the bridges the key (KALLBACK_KEYS), restart them, then: kallback dead-letters replay --reason "
        "unknown-key",
    ),
    "wrong-tag": Advice(
        "The token does not fit its key and this results topic: forged, altered, sent to another environment's "
        "results topic, or two keys share one id.",
        "If keys or KALLBACK_AUDIENCE were set wrong, set them right and replay. If the record came from another "
        "environment, replay it there. Otherwise somebody forges: look at who may write to the topic.",
    ),
    "invalid-awakeable-id": Advice("The awakeable id is not one of Restate's.", _HOPELESS),
    "reserved-signal": Advice(
        "It names a signal that Restate keeps for itself; number 1 would cancel the invocation.",
        "No sdk makes such an id: look at who may write to the topic. Replaying changes nothing.",
    ),
    "bare-awakeable": Advice(
        "The result carries a bare awakeable id in place of a token, which proves nothing.",
        "Let the worker echo the token; or start the bridges with --allow-bare-awakeables, then replay.",
    ),
    "ambiguous-token": Advice("Different tokens stand in one record.", _HOPELESS),
    "not-json": Advice("The result's value is not JSON.", _TOLD),
    "unknown-status": Advice("The header kallback-status is neither completed nor failed.", _TOLD),
    "ambiguous-status": Advice("The header kallback-status stands twice, with different values.", _TOLD),
    "not-a-problem": Advice("A failed result's value is no problem object (RFC 9457).", _TOLD),
    "unknown-version": Advice("The result is of a version that the bridge does not know.", _TOLD),
    "too-large": Advice("Restate takes no request of this size.", _TOLD),
    "late": Advice(
        "The result came after the task's deadline: the caller has given up.",
        "Nothing waits for it, and a replay would be late again. If it happens often, the time-out is too short.",
    ),
    "rejected": Advice(
        "Restate refused it for good (400).",
        "The detail has Restate's words. Replay only if its cause is gone.",
    ),
    "parked": Advice(
        "Restate did not take it, time and again, while it took others.",
        "The detail has the last answer. Mend its cause (a proxy's rule, a part of Restate that is away), then: "
        "kallback dead-letters replay --reason parked",
    ),
    "not-a-task": Advice(
        "A record of a task topic lacks the headers of a task.",
        "Send tasks with kallback.sdk. Replaying changes nothing.",
    ),
    "unknown-task-type": Advice(
        "No worker that reads this topic knows the task type.",
        "Deploy a worker that does, then replay, as long as the caller waits (the task's deadline).",
    ),
    "refused-reply-topic": Advice(
        "The task wants its result on a topic that the worker does not allow.",
        "Allow the topic in the worker's options, then replay, as long as the caller waits.",
    ),
    "undecodable-task": Advice(
        "The request does not fit the type that the worker declares.",
        "The caller was told at once. Make both sides use one version of the type; replaying is useless.",
    ),
    "undeliverable-result": Advice(
        "The work was done, but its result could not be sent.",
        "The detail says why. Mend it, then replay: the work is done once more.",
    ),
}

UNKNOWN: Final = Advice("Another version of kallback wrote this reason.", "The detail says what was wrong.")
