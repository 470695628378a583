"""What writes: a client of Kafka without a key, and bytes that no client writes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from confluent_kafka import KafkaError, Message, Producer

from attacks.commands import Command, run_command
from attacks.installation import Installation
from attacks.measurements import end_offsets
from attacks.raw_batches import Codec, RawRecord, batch
from attacks.raw_writer import RawWriter, RefusedBatchError
from kallback.kafka import ConfluentReader, Record
from kallback.protocol import Attempt, AwakeableId, Keyring, TaskHeaders, Token, task_id_of
from kallback.protocol.headers import TOKEN
from kallback.settings import Topics

_TIMEOUT_S: Final = 60.0
_LATER_MS: Final = 4_102_444_800_000
"""A deadline in the year 2100."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A record that any client writes. A partition of -1 follows from the key."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = None
    partition: int = -1


class Attacker:
    """May write to every topic of an installation, and has no key of it.

    Attributes:
        installation: what is attacked.
        topics: kallback's own topics.
        tasks: the task topic.
        findings: what an attack saw and should not have seen, in sentences.
        targets: the topics that were written to.
    """

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.topics: Topics = installation.topics
        self.tasks = installation.tasks
        self.findings: list[str] = []
        self.targets: set[str] = set()
        self._servers = installation.stack.bootstrap_servers
        self._raw = RawWriter(self._servers)
        self._forger = Keyring({"k1": secrets.token_bytes(32)})

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._raw.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self._raw.__aexit__()

    async def write_batch(self, topic: str, raw: bytes, partition: int = 0) -> None:
        """Write a batch of `raw_batches`.

        Raises:
            RefusedBatchError: the broker does not take it.
        """
        self.targets.add(topic)
        await self._raw.write(topic, partition, raw)

    async def built(self, records: Sequence[RawRecord], codec: Codec = Codec.NONE) -> bytes:
        """Make a batch, in a thread: a large one takes seconds."""
        return await asyncio.to_thread(batch, records, codec)

    async def write_records(self, topic: str, records: Sequence[RawRecord], codec: Codec = Codec.NONE) -> None:
        """Make a batch and write it to partition 0."""
        await self.write_batch(topic, await self.built(records, codec))

    async def write(self, topic: str, records: Iterable[Plain], **config: Any) -> None:
        """Write records with a client; `config` has its options, with underscores in place of dots."""
        self.targets.add(topic)
        await asyncio.to_thread(self._write, topic, records, config)

    async def follow(
        self, topic: str, seconds: float, answer: Callable[[Record], Plain | None], to: str, *, copies: int = 1
    ) -> None:
        """Answer each record of a topic for some time, beginning with the oldest; answers go to another topic."""

        def answers(record: Record) -> list[Plain]:
            found = answer(record)
            return [] if found is None else [found] * copies

        await self.follow_all(topic, seconds, answers, to)

    async def follow_all(self, topic: str, seconds: float, answers: Callable[[Record], list[Plain]], to: str) -> None:
        """Do so with any number of answers to each record."""
        ends = time.monotonic() + seconds
        async with ConfluentReader(self.installation.settings.kafka, topic) as reader:
            while time.monotonic() < ends:
                records = await reader.fetch(timeout=0.2)
                await self.write(to, [each for record in records for each in answers(record)])

    async def ends(self, topic: str) -> int:
        """The number of offsets of a topic, over all its partitions."""
        return await asyncio.to_thread(end_offsets, self._servers, topic)

    async def stable_ends(self, topic: str) -> int:
        """The same up to the first transaction that is open."""
        return await asyncio.to_thread(end_offsets, self._servers, topic, "read_committed")

    async def command(self, *words: str, limit_s: float = 60.0, **env: str) -> Command:
        """Run `kallback ...` as an operator of the installation does."""
        return await run_command(*words, env={**self.installation.env, **env}, limit_s=limit_s)

    def forged_token(self, task_id: bytes | None = None) -> str:
        """A token that looks right, signed with another key of the same name."""
        awakeable = AwakeableId("sign_1" + "A" * 33 + "AAAER")
        raw = secrets.token_bytes(12) if task_id is None else task_id
        token = Token("attacks.good", task_id_of(raw), Attempt(1), awakeable, _LATER_MS)
        return self._forger.sign(token, self.topics.results)

    def forged_result(self, value: bytes = b"1") -> Plain:
        """A result with such a token."""
        return Plain(value, ((TOKEN, self.forged_token().encode()),))

    def forged_task(self, value: bytes = b"1", **headers: Any) -> Plain:
        """A task that no handler asked for; `headers` replace members of `TaskHeaders`."""
        members: dict[str, Any] = {
            "token": self.forged_token(),
            "task_id": task_id_of(secrets.token_bytes(12)),
            "attempt": Attempt(1),
            "task_type": "attacks.good",
            "reply_to": self.topics.results,
        }
        return Plain(value, TaskHeaders(**members | headers).encode())

    def _write(self, topic: str, records: Iterable[Plain], config: dict[str, Any]) -> None:
        options = {"bootstrap.servers": self._servers, "linger.ms": 20, "log_level": 0}
        producer = Producer(options | {name.replace("_", "."): value for name, value in config.items()})
        failures: list[str] = []

        def note(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(str(error))

        for record in records:
            while True:
                try:
                    producer.produce(
                        topic,
                        record.value,
                        record.key,
                        partition=record.partition,
                        headers=list(record.headers),
                        on_delivery=note,
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            producer.poll(0)
        left = producer.flush(_TIMEOUT_S)
        if left or failures:
            raise RefusedBatchError(f"{topic}: {left + len(failures)} records were not written: {failures[:1]}")
