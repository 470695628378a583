"""Envelopes: what the bridge hands to Restate for a verified token, and what the sdk opens.

Failures travel as a *resolved* envelope, because rejecting over HTTP keeps a text only, always with code 500. The
worker's bytes are spliced in, never encoded again: long integers and `1.10` arrive as they were sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from kallback.protocol.errors import InvalidEnvelopeError
from kallback.protocol.results import NULL, Answer, Completed, Failed, Status
from kallback.protocol.tokens import Attempt, TaskId
from kallback.protocol.values.bounded_reading import NestedTooDeepError, read_json
from kallback.protocol.values.codecs import MAX_NESTING


@dataclass(frozen=True, slots=True)
class Envelope:
    """One answer to one attempt of one task."""

    task_id: TaskId
    attempt: Attempt
    answer: Answer


def seal(task_id: TaskId, attempt: Attempt, answer: Answer) -> bytes:
    """The envelope's bytes, with the answer's own bytes spliced in."""
    if isinstance(answer, Completed):
        status, member, body = Status.COMPLETED, b"value", answer.value
    else:
        status, member, body = Status.FAILED, b"error", answer.error
    head = f'{{"kallback":1,"task":"{task_id}","attempt":{attempt},"status":"{status}",'
    return b'%b"%b":%b}' % (head.encode(), member, body)


def open_envelope(data: bytes) -> Envelope:
    """Read an envelope; unknown members are ignored.

    Raises:
        InvalidEnvelopeError: the bytes are not an envelope of version 1.
    """
    try:
        found = read_json(_ENVELOPE, data, limit=MAX_NESTING + 1)
    except NestedTooDeepError:
        raise InvalidEnvelopeError("the result is nested too deep to be read here: send a flatter one") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidEnvelopeError(
            "the awakeable was completed with something that is no kallback envelope: "
            f"complete it through the bridge, NotifierService or complete_awakeable ({error})"
        ) from None
    answer: Answer
    if found.status == "completed":
        answer = Completed(bytes(found.value) or NULL)
    else:
        answer = Failed(bytes(found.error) or NULL)
    return Envelope(TaskId(found.task), Attempt(found.attempt), answer)


class _Envelope(msgspec.Struct):
    kallback: Literal[1]
    task: str
    attempt: int
    status: Literal["completed", "failed"]
    value: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
