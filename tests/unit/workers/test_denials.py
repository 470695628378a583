"""Refused writes of a worker: those to its installation's topics are reported, all are raised."""

from __future__ import annotations

import pytest

from kallback.kafka import OutgoingRecord, Position
from kallback.lifecycle import StartStop
from kallback.protocol import AccessDeniedError
from kallback.workers.denials import DenialReporter


class Refusing(StartStop):
    """A producer that may write nowhere."""

    async def start(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def send(self, record: OutgoingRecord) -> Position:
        """Refuse."""
        raise AccessDeniedError(f"sending to {record.topic!r} failed: let an administrator add the missing ACL")


@pytest.mark.parametrize(("topic", "reported"), [("kallback.results", 1), ("elsewhere", 0)])
async def test_a_refused_write_to_an_own_topic_is_reported(topic: str, reported: int) -> None:
    """A task may name any other topic: that is its own trouble."""
    errors = list[AccessDeniedError]()
    async with DenialReporter(Refusing(), frozenset({"kallback.results"}), errors.append) as producer:
        with pytest.raises(AccessDeniedError):
            await producer.send(OutgoingRecord(topic, b"1"))
    assert len(errors) == reported
