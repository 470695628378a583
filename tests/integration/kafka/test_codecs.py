"""Compressed records: every codec of Kafka is read by both clients, and a codec that is missing is named."""

import uuid

import pytest
from confluent_kafka import Producer

from kallback.kafka import AiokafkaConsumer, AiokafkaReader, ConfluentConsumer, ConsumerOptions
from kallback.protocol.errors import MissingExtraError
from kallback.settings import KafkaSettings
from kallback.testing.topics import TopicFactory

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def send(settings: KafkaSettings, topic: str, codec: str) -> None:
    """Write one record that a producer of another team has compressed."""
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "compression.type": codec})
    producer.produce(topic, b"x" * 10_000)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("client", [ConfluentConsumer, AiokafkaConsumer])
async def test_a_compressed_record_is_read(
    kafka_settings: KafkaSettings,
    topics_factory: TopicFactory,
    client: type[ConfluentConsumer] | type[AiokafkaConsumer],
    codec: str,
) -> None:
    """The codec is the producer's or the topic's choice, never the worker's."""
    topic = topics_factory("codecs")
    send(kafka_settings, topic, codec)
    async with client(kafka_settings, [topic], uuid.uuid4().hex, options=ConsumerOptions()) as consumer:
        records = await consumer.fetch(1, 30)
    assert [len(record.value or b"") for record in records] == [10_000]


async def test_a_consumer_names_a_codec_that_is_missing(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its library nothing of the partition can be read: an error with the command to type, not a loop."""
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    topic = topics_factory("codecs")
    send(kafka_settings, topic, "zstd")
    async with AiokafkaConsumer(kafka_settings, [topic], uuid.uuid4().hex, options=ConsumerOptions()) as consumer:
        with pytest.raises(MissingExtraError, match="pip install"):
            await consumer.fetch(1, 30)


async def test_a_reader_names_a_codec_that_is_missing(
    kafka_settings: KafkaSettings, topics_factory: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compressed cancel in the control topic must not make a starting worker wait for ever."""
    monkeypatch.setattr("aiokafka.codec.has_zstd", lambda: False)
    topic = topics_factory("codecs")
    send(kafka_settings, topic, "zstd")
    async with AiokafkaReader(kafka_settings, topic) as reader:
        with pytest.raises(MissingExtraError, match="pip install"):
            await reader.fetch(30)
