from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.bridge.factories import AUDIENCE, KEYRING, NOW, RecordFactory

from kallback.bridge.progress.decide import ProgressUpdate, decide_progress
from kallback.bridge.stats import ProgressOutcome
from kallback.kafka import OutgoingRecord, Record
from kallback.protocol import Report, Signal, TaskId, progress_headers
from kallback.protocol.verification import Trust, UnverifiedResult

TRUST = Trust(KEYRING, AUDIENCE)
NOW_MS = int(NOW * 1000)
TASK = TaskId("AAECAwQFBgcICQoL")


def _heartbeat(
    make: RecordFactory, text: str | None = None, value: bytes = b"", every_ms: int | None = 1000
) -> OutgoingRecord:
    headers = progress_headers(text or make.sign(), Signal.HEARTBEAT, NOW_MS, every_ms)
    return OutgoingRecord("kallback.progress", value, b"key", headers)


def _update(details: bytes = b"", attempt: int = 1, every_ms: int | None = 1000, task: TaskId = TASK) -> ProgressUpdate:
    return ProgressUpdate(task, attempt, "kb1:secret", Report(Signal.HEARTBEAT, 1, details, every_ms), NOW_MS)


def _verdict(make: RecordFactory, outgoing: OutgoingRecord) -> ProgressUpdate | UnverifiedResult | ProgressOutcome:
    return decide_progress(make.received(outgoing), TRUST, now_ms=NOW_MS, grace_ms=30_000)


def test_a_heartbeat_is_an_update(make: RecordFactory) -> None:
    """A signed one says which task it is about, and what the worker wrote."""
    found = _verdict(make, _heartbeat(make, value=b'{"done":3}'))
    assert isinstance(found, ProgressUpdate)
    assert (found.report.details, found.seen_ms, found.attempt) == (b'{"done":3}', NOW_MS, 1)


def test_a_forged_one_is_unverified(make: RecordFactory) -> None:
    """One changed letter, and nobody believes it."""
    text = make.sign()
    found = _verdict(make, _heartbeat(make, text[:-1] + ("A" if text[-1] != "A" else "B")))
    assert isinstance(found, UnverifiedResult)
    assert found.reason == "wrong-tag"


def test_one_after_the_deadline_is_late(make: RecordFactory) -> None:
    """The handler's own timer has decided."""
    assert _verdict(make, _heartbeat(make, make.sign(make.token(deadline=-31)))) is ProgressOutcome.LATE


def test_details_that_are_no_json_are_invalid(make: RecordFactory) -> None:
    """They would stand in Restate's state."""
    assert _verdict(make, _heartbeat(make, value=b"{")) is ProgressOutcome.INVALID


@given(st.lists(st.tuples(st.sampled_from(["kallback-token", "kallback-signal", "kallback-at"]), st.binary())))
def test_nothing_of_it_raises(headers: list[tuple[str, bytes]]) -> None:
    """Everything from Kafka is hostile."""
    hostile = Record("kallback.progress", 0, 0, 0, None, b"\xff", tuple(headers))
    assert isinstance(decide_progress(hostile, TRUST, now_ms=0, grace_ms=0), UnverifiedResult)


def test_the_token_is_not_shown() -> None:
    """ProgressUpdate are logged."""
    assert "secret" not in repr(_update())
