"""What each reason of a dead letter means and what to do, for `kallback dead-letters show` and docs/dead-letters.md.

Tests compare this table with the reasons that bridge and workers write, and the page with this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kallback.documentation import dead_letter_entry, page_address


@dataclass(frozen=True, slots=True)
class ReasonHelp:
    """Help on one reason.

    Attributes:
        meaning: what was wrong with the record.
        remedy: what an operator can do.
    """

    meaning: str
    remedy: str


_REPLAY_USELESS: Final = "Correct the worker. A replay changes nothing: the same record has the same token."
_CALLER_TOLD: Final = (
    "The caller got an error at once, with type urn:kallback:unusable-result. Correct the worker; a replay is useless."
)
_TYPES_DIFFER: Final = (
    "The caller got an error at once. Use one version of the type on both sides; a replay is useless."
)
_USELESS: Final = frozenset({_REPLAY_USELESS, _CALLER_TOLD, _TYPES_DIFFER})

REASON_HELP: Final = {
    "no-token": ReasonHelp(
        "The result has no token, so its task is unknown.",
        "Correct the worker: it must echo the header kallback-token of the task. A replay changes nothing.",
    ),
    "malformed-token": ReasonHelp("The token is malformed: truncated, changed or invented.", _REPLAY_USELESS),
    "unknown-key": ReasonHelp(
        "The token is signed with a key that the bridge does not have: services used a new key before the bridges had "
        "it, or an old key was removed too early.",
        "Add the key to the bridges: with KALLBACK_KEYS_FILE write it into the file, which is read again by itself; "
        "with KALLBACK_KEYS restart them. Then: kallback dead-letters replay --reason unknown-key",
    ),
    "wrong-tag": ReasonHelp(
        "The token's signature does not match its key and this results topic: the token is forged or changed, it comes "
        "from another environment, or two keys have the same id.",
        "If keys or KALLBACK_AUDIENCE were wrong, correct them and replay. If the record comes from another "
        "environment, replay it there. Otherwise someone forges results: check who may write to the topic.",
    ),
    "invalid-awakeable-id": ReasonHelp("The awakeable id is not an id of Restate.", _REPLAY_USELESS),
    "reserved-signal": ReasonHelp(
        "The awakeable id names a signal that Restate reserves; signal 1 would cancel the invocation.",
        "No sdk makes such an id: check who may write to the topic. A replay changes nothing.",
    ),
    "bare-awakeable": ReasonHelp(
        "The result has an unsigned awakeable id in place of a token.",
        "Let the worker echo the token, or start the bridges with --allow-bare-awakeables and replay.",
    ),
    "ambiguous-token": ReasonHelp("The record has several different tokens.", _REPLAY_USELESS),
    "too-many-headers": ReasonHelp(
        "The record has more than 500 headers, or more than 256 KiB of them. The dead letter is a stub that names its "
        "position.",
        "No worker needs that: check who may write to the topic. A replay changes nothing.",
    ),
    "unreadable": ReasonHelp(
        "A Kafka client for Python cannot read the record: a header name is not UTF-8, or its batch is damaged, cannot "
        "be decompressed, or unfolds to more than 16 MiB. The dead letter is a stub that names its position.",
        "Correct the producer. The record can be read at its position with another tool, such as Kafka's own; it "
        "cannot be replayed.",
    ),
    "not-json": ReasonHelp("The value of the result is not JSON.", _CALLER_TOLD),
    "unknown-status": ReasonHelp("The header kallback-status is neither completed nor failed.", _CALLER_TOLD),
    "ambiguous-status": ReasonHelp("The record has two kallback-status headers with different values.", _CALLER_TOLD),
    "not-a-problem": ReasonHelp("The value of a failed result is not a problem object (RFC 9457).", _CALLER_TOLD),
    "unknown-version": ReasonHelp("The bridge does not know the wire version of the result.", _CALLER_TOLD),
    "too-large": ReasonHelp("The result is larger than Restate accepts.", _CALLER_TOLD),
    "late": ReasonHelp(
        "The result came after the deadline of its task: the caller no longer waits.",
        "No handler waits for it, and a replay would be late again. If this happens often, the timeout is too short.",
    ),
    "rejected": ReasonHelp(
        "Restate rejected the completion permanently (400).",
        "The detail is Restate's answer. Replay only after its cause is removed.",
    ),
    "parked": ReasonHelp(
        "Restate repeatedly failed to accept this result while it accepted others.",
        "The detail is the last answer. Remove its cause (a rule of a proxy, an unavailable part of Restate), then: "
        "kallback dead-letters replay --reason parked",
    ),
    "not-a-task": ReasonHelp(
        "A record on a task topic lacks the headers of a task.",
        "Send tasks with kallback.sdk. A replay changes nothing.",
    ),
    "unknown-task-type": ReasonHelp(
        "No worker on this topic knows the task type.",
        "Deploy a worker that knows it, then replay before the deadline of the task.",
    ),
    "refused-reply-topic": ReasonHelp(
        "The task asks for its result on a topic that the worker does not allow, or that does not exist.",
        "Allow the topic (KALLBACK_TOPICS_REPLY_TO) or create it, then replay before the deadline of the task.",
    ),
    "undecodable-task": ReasonHelp(
        "The request does not match the type that the worker declares.",
        _TYPES_DIFFER,
    ),
    "undeliverable-result": ReasonHelp(
        "The task was done, but its result could not be sent.",
        "The detail is the error. Remove its cause, then replay: the task runs once more.",
    ),
}


def is_replay_useless(reason: str) -> bool:
    """Whether a replay of a record with this reason changes nothing, whatever was repaired meanwhile."""
    found = REASON_HELP.get(reason)
    return found is not None and found.remedy in _USELESS


def entry_of(reason: str) -> str:
    """Return the address of a reason's entry; of the whole page, if this version does not know the reason."""
    return dead_letter_entry(reason) if reason in REASON_HELP else page_address("dead-letters")


UNKNOWN_REASON: Final = ReasonHelp("Another version of kallback wrote this reason.", "The detail says what was wrong.")
