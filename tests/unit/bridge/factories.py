"""Tokens and records for the tests of the bridge."""

from __future__ import annotations

import base64
import itertools
from dataclasses import dataclass

from kallback.bridge import BridgeOptions
from kallback.kafka import OutgoingRecord, Record
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Keyring,
    Token,
    completed_headers,
    failed_headers,
    task_id_of,
)

NOW = 1_800_000_000.0
KEYRING = Keyring({"k1": b"1" * 32})
AUDIENCE = "kallback.results"
GROUP = BridgeOptions().group_for(AUDIENCE)
_numbers = itertools.count()


def awakeable_id(signal: int = 17) -> AwakeableId:
    """A canonical id that nobody else uses."""
    raw = next(_numbers).to_bytes(24, "big") + signal.to_bytes(4, "big")
    return AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@dataclass
class RecordFactory:
    """Makes tokens and result records, none of them twice."""

    now: float = NOW

    def token(self, *, deadline: float | None = None, awakeable: AwakeableId | None = None) -> Token:
        """A token of an attempt of its own; `deadline` in seconds from now."""
        task_id = task_id_of(next(_numbers).to_bytes(12, "big"))
        deadline_ms = 0 if deadline is None else int((self.now + deadline) * 1000)
        return Token("kitchen.prepare", task_id, Attempt(1), awakeable or awakeable_id(), deadline_ms)

    def sign(self, token: Token | None = None, keyring: Keyring = KEYRING, audience: str = AUDIENCE) -> str:
        """The token's text."""
        return keyring.sign(token or self.token(), audience)

    def completed(self, text: str | None = None, value: bytes | None = b'{"ok":true}') -> OutgoingRecord:
        """A completed result."""
        return OutgoingRecord(AUDIENCE, value, None, completed_headers(text or self.sign()))

    def failed(self, text: str | None = None, value: bytes | None = b'{"detail":"no basil"}') -> OutgoingRecord:
        """A failed result."""
        return OutgoingRecord(AUDIENCE, value, None, failed_headers(text or self.sign()))

    def received(self, record: OutgoingRecord) -> Record:
        """As it comes from Kafka."""
        return Record(record.topic, 0, 0, int(self.now * 1000), record.key, record.value, record.headers)
