"""The first contact with a cluster can be abandoned."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Generator

import pytest
from confluent_kafka import KafkaError

from kallback.kafka import ConfluentConsumer, ConfluentProducer
from kallback.kafka.confluent.client import ClientErrors, in_thread
from kallback.kafka.confluent.topics import check_topics
from kallback.settings import KafkaSettings


@pytest.fixture
def frozen() -> Generator[KafkaSettings]:
    """A broker that accepts connections and never answers; it may take five minutes to answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield KafkaSettings(f"127.0.0.1:{server.getsockname()[1]}", connect_timeout=300)


async def test_cancelling_waits_until_the_thread_has_given_up() -> None:
    """A thread that is left behind would delay the end of the process."""
    begun, ended = threading.Event(), threading.Event()

    def blocking(abandoned: threading.Event) -> None:
        begun.set()
        abandoned.wait()
        ended.set()

    waiting = asyncio.create_task(in_thread(blocking))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


@pytest.mark.parametrize(
    "start",
    [
        lambda settings: ConfluentProducer(settings).start(),
        lambda settings: ConfluentConsumer(settings, ["topic"], "group").start(),
        lambda settings: check_topics(settings, ["topic"]),
    ],
    ids=["producer", "consumer", "topics"],
)
async def test_a_start_against_a_frozen_broker_can_be_cancelled(
    frozen: KafkaSettings, start: Callable[[KafkaSettings], asyncio.Future[None]]
) -> None:
    """It ends long before the connect timeout, and no thread is left."""
    starting = asyncio.ensure_future(start(frozen))
    await asyncio.sleep(0)  # begins
    starting.cancel()
    async with asyncio.timeout(60):
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


@pytest.mark.parametrize(
    ("words", "is_refused"),
    [
        ("sasl_plaintext://k:1/bootstrap: SASL authentication error: Authentication failed (after 9ms)", True),
        ("sasl_plaintext://k:1/1: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism", True),
        ("sasl_plaintext://k:1/1: SASL PLAIN mechanism handshake failed: Local: Broker transport failure", False),
    ],
)
def test_a_login_that_broke_off_is_no_refused_one(words: str, is_refused: bool) -> None:  # noqa: FBT001 - a table
    """A broker that restarts breaks logins off; librdkafka has one code for both."""
    errors = ClientErrors(KafkaSettings())
    errors(KafkaError(KafkaError._AUTHENTICATION, words))
    assert (errors.refused is not None) is is_refused


def test_a_cluster_that_is_down_is_told_with_its_addresses(caplog: pytest.LogCaptureFixture) -> None:
    """The library itself says "2/2 brokers are down"."""
    errors = ClientErrors(KafkaSettings())
    errors(KafkaError(KafkaError._TRANSPORT, "kafka-1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: refused"))
    errors(KafkaError(KafkaError._TRANSPORT, "sasl_ssl://kafka-2:9092/2: Disconnected"))
    caplog.clear()
    errors(KafkaError(KafkaError._ALL_BROKERS_DOWN, "2/2 brokers are down"))
    assert "kafka-1:9092: Connect to ipv4#10.0.0.1:9092 failed: refused" in caplog.text
    assert "kafka-2:9092: Disconnected" in caplog.text


def test_one_cause_has_one_sentence() -> None:
    """The library adds how long it took, and the doctor would name the same cause several times."""
    sentences = set[str]()
    for milliseconds in (3, 310):
        errors = ClientErrors(KafkaSettings())
        errors(
            KafkaError(KafkaError._AUTHENTICATION, f"sasl_ssl://k:1/1: no (after {milliseconds}ms in state AUTH_REQ)")
        )
        sentences.add(str(errors.refused))
    assert len(sentences) == 1


@pytest.mark.parametrize(
    ("code", "words", "remedy"),
    [
        (KafkaError._AUTHENTICATION, "sasl_ssl://k:1/1: SASL authentication error: no", "KALLBACK_KAFKA_SASL_"),
        (
            KafkaError._TRANSPORT,
            "ssl://k:1/1: Receive failed: tls alert bad certificate",
            "KALLBACK_KAFKA_SSL_CERT_FILE",
        ),
    ],
)
def test_a_refusal_while_it_runs_is_logged_with_its_remedy(
    code: int, words: str, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A password that was changed, a certificate that has expired: tasks wait until somebody reads this."""
    ClientErrors(KafkaSettings())(KafkaError(code, words))
    assert remedy in caplog.text
