"""JSON from outside gets one verdict, wherever it is read and whatever the interpreter allows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from kallback.kafka.dead_letters.reader import REPLAYED, marker_of
from kallback.kafka.records import Record
from kallback.protocol import Attempt, Cancel, Codec, Completed, DecodeError, InvalidControlError, TaskId, check_json
from kallback.protocol.envelopes import open_envelope, seal
from kallback.protocol.errors import InvalidEnvelopeError
from kallback.protocol.outcomes import Outcome, OutcomeRecord, SourcePosition, read_outcome
from kallback.protocol.values.bounded_reading import NestedTooDeepError, read_json
from kallback.workers.context import decode_details

OUTCOME = OutcomeRecord(Outcome.DELIVERED, SourcePosition("t", 0, 1, 2), 3).encode()
CANCEL = b'{"kallback":1,"action":"cancel","task":"task000000000000","reason":"cancelled","at":1,"more":%b}'
FITS, TOO_DEEP = 500, 501


def nested(levels: int) -> bytes:
    """Lists in lists."""
    return b"[" * levels + b"]" * levels


def deep_in_a_call_stack(work: Callable[[], Any]) -> Any:
    """Call it where hardly any call is left."""

    def call(levels: int) -> Any:
        return work() if levels == 0 else call(levels - 1)

    return call(sys.getrecursionlimit() - len(inspect.stack(0)) - 150)


def is_read(work: Callable[[], Any]) -> bool:
    """Whether it is read; None is no."""
    try:
        return work() is not None
    except (msgspec.DecodeError, DecodeError, InvalidEnvelopeError, InvalidControlError):
        return False


READERS: dict[str, Callable[[int], Any]] = {
    "a value": lambda levels: check_json(nested(levels)),
    "a value of a type": lambda levels: Codec[Any](object).decode(nested(levels)),
    "a struct": lambda levels: read_json(msgspec.json.Decoder(), nested(levels)),
    "an envelope": lambda levels: open_envelope(seal(TaskId("t"), Attempt(1), Completed(nested(levels)))),
    "an outcome": lambda levels: read_outcome(OUTCOME[:-1] + b',"more":%b}' % nested(levels - 1)),
    "a replay marker": lambda levels: marker_of(
        Record("t", 0, 0, 0, None, b'{"replayed":[],"at":1,"more":%b}' % nested(levels - 1), ((REPLAYED, b"1"),))
    ),
    "details of a heartbeat": lambda levels: decode_details(nested(levels)),
}


@pytest.mark.parametrize("called", [lambda work: work(), deep_in_a_call_stack], ids=["called", "called-deep"])
@pytest.mark.parametrize("name", READERS)
def test_500_levels_are_read_and_501_are_not(name: str, called: Callable[[Callable[[], Any]], Any]) -> None:
    """On every interpreter, and deep in a stack of calls."""
    read = READERS[name]
    verdicts = called(lambda: [is_read(partial(read, levels)) for levels in (FITS, TOO_DEEP, 100_000)])
    assert verdicts == [True, False, False]


def test_what_is_bounded_in_bytes_is_read_as_deep_as_it_can_be() -> None:
    """A cancel has a kilobyte at most: its unknown members fit."""
    cancel = CANCEL % nested(400)
    assert deep_in_a_call_stack(lambda: Cancel.decode(cancel)).task_id == "task000000000000"


def test_the_error_says_the_limit() -> None:
    """It is one of those that readers of JSON expect."""
    with pytest.raises(NestedTooDeepError, match="deeper than 7"):
        read_json(msgspec.json.Decoder(), nested(8), limit=7)
