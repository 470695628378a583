"""Results for a run, as workers would write them, and what a consumer group has committed."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from kallback.protocol import Attempt, AwakeableId, Keyring, Token, completed_headers, task_id_of

PARTITIONS: Final = 4
VALUE: Final = b'{"shelf":"B3","minutes":12,"note":"no onions","price":"18.40"}'
DAY_S: Final = 86_400.0
TASK_TYPE: Final = "bench.drain"
_PREFIX: Final = "sign_1"
_PARTITION_KEY_BYTES: Final = 8

RecordPosition = tuple[int, int]
"""Partition, and how many records lie before in it."""


def record_positions(count: int, partitions: int = PARTITIONS) -> Iterator[RecordPosition]:
    """Where the records of a topic go: partitions take turns."""
    for number in range(count):
        yield number % partitions, number // partitions


def edges(count: int, partitions: int = PARTITIONS) -> list[RecordPosition]:
    """The first and the last record of each partition."""
    everywhere = list(record_positions(count, partitions))
    return [*everywhere[:partitions], *everywhere[-partitions:]]


def every(step: int, count: int, partitions: int = PARTITIONS) -> list[RecordPosition]:
    """One record in `step` of each partition, beginning with its first."""
    return [position for position in record_positions(count, partitions) if position[1] % step == 0]


def unknown_awakeable() -> AwakeableId:
    """An id of which Restate accepts completions, though nobody waits."""
    return _awakeable(os.urandom(_PARTITION_KEY_BYTES))


def unknown_awakeable_like(awakeable: str) -> AwakeableId:
    """Likewise, in the same partition of Restate as an awakeable that exists."""
    return _awakeable(base64.urlsafe_b64decode(awakeable.removeprefix(_PREFIX) + "==")[:_PARTITION_KEY_BYTES])


def _awakeable(partition_key: bytes) -> AwakeableId:
    raw = partition_key + os.urandom(16) + (17).to_bytes(4, "big")
    return AwakeableId(_PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


def token_for(awakeable: AwakeableId, deadline_in_s: float = DAY_S) -> Token:
    """A token as an sdk would make it."""
    deadline_ms = int((time.time() + deadline_in_s) * 1000)
    return Token(TASK_TYPE, task_id_of(os.urandom(12)), Attempt(1), awakeable, deadline_ms)


def value_of(size: int) -> bytes:
    """A JSON list of so many bytes, at least 64: small objects, and spaces behind them."""
    content = b",".join([VALUE] * max(1, (size - 2) // (len(VALUE) + 1)))
    return b"[%b]" % content.ljust(size - 2)


class Writer:
    """Writes results to a topic.

    Args:
        keyring: signs.
        audience: what the tokens are bound to.
        transactional_id: for `at_once`.
    """

    def __init__(self, bootstrap_servers: str, keyring: Keyring, audience: str, transactional_id: str = "") -> None:
        self._keyring, self._audience = keyring, audience
        settings = {"bootstrap.servers": bootstrap_servers, "linger.ms": 20, "acks": "all", "log_level": 0}
        self._producer = Producer(settings | ({"transactional.id": transactional_id} if transactional_id else {}))
        self._failures: list[str] = []

    def signed(
        self,
        topic: str,
        where: Iterator[RecordPosition],
        marked: Mapping[RecordPosition, str],
        value: bytes = VALUE,
        deadline_in_s: float = DAY_S,
    ) -> None:
        """Write signed results; `marked` says which of them complete an awakeable that exists."""
        for position in where:
            awakeable = AwakeableId(marked[position]) if position in marked else unknown_awakeable()
            token = self._keyring.sign(token_for(awakeable, deadline_in_s), self._audience)
            self._produce(topic, position[0], value, [*completed_headers(token)])
        self._flush()

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Have consumers see what is written meanwhile at the end, all of it: a transaction."""
        self._producer.init_transactions()
        self._producer.begin_transaction()
        yield
        self._producer.commit_transaction()

    def plain(self, topic: str, where: Iterator[RecordPosition], marked: Mapping[RecordPosition, str]) -> None:
        """Write what a handler behind Restate's own subscription can read: it sees no headers."""
        for position in where:
            awakeable = marked.get(position) or unknown_awakeable()
            self._produce(topic, position[0], b'{"id":"%b","value":%b}' % (awakeable.encode(), VALUE), [])
        self._flush()

    def _produce(self, topic: str, partition: int, value: bytes, headers: list[tuple[str, str | bytes | None]]) -> None:
        while True:
            try:
                self._producer.produce(topic, value, partition=partition, headers=headers, on_delivery=self._note)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _note(self, error: object, _message: Message) -> None:
        if error is not None:
            self._failures.append(str(error))

    def _flush(self) -> None:
        left = self._producer.flush(60)
        if left or self._failures:
            raise RuntimeError(f"{left + len(self._failures)} records were not written: {self._failures[:1]}")


class CommittedPositions:
    """What a group has committed of a topic."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str, partitions: int = PARTITIONS) -> None:
        self._client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})
        self._partitions = [TopicPartition(topic, number) for number in range(partitions)]

    def read(self) -> list[int]:
        """The committed position of each partition; 0 where there is none."""
        found = self._client.committed(self._partitions, timeout=10)
        return [max(0, each.offset) for each in found]

    def wait(self, total: int, timeout_s: float) -> None:
        """Wait until the positions add up to `total`.

        Raises:
            TimeoutError: they do not within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while sum(self.read()) < total:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout_s:g} s the group has committed {self.read()}, not {total} in all")
            time.sleep(0.2)

    def close(self) -> None:
        """Close the client; it never joined the group."""
        self._client.close()
