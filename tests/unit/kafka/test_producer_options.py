"""What the options of a producer come to with each client."""

from __future__ import annotations

from typing import Any

import pytest

from kallback.kafka import AiokafkaProducer, ConfluentProducer, ProducerOptions
from kallback.kafka.aiokafka import producer as aiokafka_producer
from kallback.kafka.confluent import producer as confluent_producer
from kallback.kafka.confluent.client import build
from kallback.protocol.errors import MissingExtraError
from kallback.settings import KafkaSettings

BATCHES = ProducerOptions(compression="lz4", linger=0.005)


async def started(monkeypatch: pytest.MonkeyPatch, options: ProducerOptions | None) -> dict[str, Any]:
    """Start a producer on aiokafka; return the arguments that aiokafka gets."""
    seen: list[dict[str, Any]] = []

    class FakeProducer:
        def __init__(self, **arguments: Any) -> None:
            seen.append(arguments)

        async def start(self) -> None:
            pass

        async def stop(self) -> None:
            pass

    monkeypatch.setattr(aiokafka_producer, "AIOKafkaProducer", FakeProducer)
    async with AiokafkaProducer(KafkaSettings(), options):
        (arguments,) = seen
    return arguments


async def test_aiokafka_compresses_and_waits_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that wait may become larger than those that are sent at once."""
    lingering, at_once = await started(monkeypatch, BATCHES), await started(monkeypatch, None)
    assert (lingering["compression_type"], lingering["linger_ms"]) == ("lz4", 5)
    assert (at_once["compression_type"], at_once["linger_ms"]) == (None, 0)
    assert lingering["max_batch_size"] > at_once["max_batch_size"]


async def test_a_codec_that_aiokafka_lacks_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""

    def refuse(**_: Any) -> None:
        raise RuntimeError("Compression library for lz4 not found")

    monkeypatch.setattr(aiokafka_producer, "AIOKafkaProducer", refuse)
    with pytest.raises(MissingExtraError, match=r"lz4 not found.*kallback\[bridge\]"):
        await AiokafkaProducer(KafkaSettings(), BATCHES).start()


@pytest.mark.parametrize(
    ("options", "extra", "codec", "linger"),
    [
        (None, {}, "none", 0),
        (BATCHES, {}, "lz4", 5),
        (BATCHES, {"compression.type": "zstd", "linger.ms": "50"}, "zstd", "50"),
    ],
)
async def test_the_extra_settings_of_librdkafka_win(
    monkeypatch: pytest.MonkeyPatch, options: ProducerOptions | None, extra: dict[str, str], codec: str, linger: object
) -> None:
    """`KALLBACK_KAFKA_EXTRA` is the last word; without it, the options count."""
    seen: list[dict[str, Any]] = []

    def remember(kind: Any, config: dict[str, Any]) -> Any:
        seen.append(config)
        return build(kind, config)

    monkeypatch.setattr(confluent_producer, "build", remember)
    producer = ConfluentProducer(KafkaSettings("127.0.0.1:1", extra=extra), options)
    producer._current()
    await producer.stop()
    assert (seen[0]["compression.type"], seen[0]["linger.ms"]) == (codec, linger)


async def test_a_long_key_is_not_hashed_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes a record chooses its key: aiokafka's own hash of 0.9 MB held the loop for 140 ms."""

    def refuse(*_: object) -> int:
        raise AssertionError("aiokafka hashes it")

    place = (await started(monkeypatch, None))["partitioner"]
    monkeypatch.setattr("aiokafka.partitioner.murmur2", refuse)
    keys = [b"%d" % number * 10_000 for number in range(20)]
    assert {place(key, [0, 1, 2], [0, 1, 2]) for key in keys} == {0, 1, 2}
    assert [place(key, [0, 1, 2], []) for key in keys] == [place(key, [0, 1, 2], [1]) for key in keys]


async def test_keys_of_usual_length_are_placed_as_by_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of one key stay in their order, also with those that Java writes; the numbers are Kafka's murmur2."""
    place = (await started(monkeypatch, None))["partitioner"]
    assert [place(key, range(100), range(100)) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        (-973932308 & 0x7FFFFFFF) % 100,
        (-790332482 & 0x7FFFFFFF) % 100,
        (-985981536 & 0x7FFFFFFF) % 100,
    ]
