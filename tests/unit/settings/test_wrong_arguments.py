"""What cannot work is refused where it is written, with a sentence that says what to give."""

# A type checker would refuse them, too:
# mypy: disable-error-code="arg-type"
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kallback.bridge import Bridge, BridgeOptions
from kallback.gateway import Gateway, GatewayOptions
from kallback.kafka import Client, ConsumerOptions
from kallback.lifecycle import Backoff
from kallback.protocol import ConfigurationError
from kallback.sdk import Callbacks
from kallback.settings import (
    DeadLetterSettings,
    GatewaySettings,
    KafkaSecurity,
    KafkaSettings,
    KeySettings,
    RestateSettings,
    SecurityProtocol,
    Settings,
)
from kallback.settings.oauth import OAuthSettings
from kallback.web import ServerOptions
from kallback.workers import Worker, WorkerOptions

INSECURE = Settings(keys=KeySettings(insecure=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KafkaSettings(client_id=""), "client_id is empty: give this client a name, such as 'kallback'"),
        (lambda: KafkaSettings(client_id="  "), "client_id must be a text, not a blank text"),
        (lambda: KafkaSettings("\0"), r"'\\x00' is no address of a Kafka server: set KALLBACK_KAFKA_BOOTSTRAP"),
        (lambda: KafkaSettings("kafka\x07:9092"), r"'kafka\\x07:9092' is no address of a Kafka server"),
        (
            lambda: KafkaSettings(["a:9092"]),
            r"\['a:9092'\] is no address of a Kafka server",
        ),
        (lambda: KafkaSettings(connect_timeout=0), "connect_timeout=0 is no time that can work"),
        (lambda: KafkaSettings(delivery_timeout=float("inf")), "use a number of seconds above 0"),
        (lambda: KafkaSettings(setup_timeout="3"), "setup_timeout must be a number, not str"),
        (lambda: KafkaSettings(max_request_bytes=0), "max_request_bytes=0 cannot work: use at least 1"),
        (lambda: KafkaSettings(extra="x"), "extra must be a mapping"),
        (lambda: KafkaSettings(security={}), r"security must be KafkaSecurity\(\.\.\.\), not dict"),
        (lambda: KafkaSecurity(protocol="TLS"), "use one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        (lambda: KafkaSecurity(protocol="SASL_SSL", username="u", password="p"), r"as Secret\('\.\.\.'\), not str"),
        (lambda: KafkaSecurity(protocol="SSL", ca_file=7), "ca_file must be a Path, not int"),
        (lambda: OAuthSettings(scope="\0"), "scope must be a text, not a text with control"),
        (lambda: OAuthSettings(client_secret="x"), "client_secret must be a Secret"),
        (lambda: KeySettings(audience="  "), "audience must be a text, not a blank text"),
        (lambda: KeySettings(audience="a\nb"), "audience must be a text, not a text with control characters"),
        (lambda: KeySettings(keyring="k1:x"), r"keyring must be a Keyring, not str: write Keyring\.parse"),
        (lambda: KeySettings(insecure="no"), "insecure must be True or False"),
        (lambda: RestateSettings(5), "5 is no address of Restate: set KALLBACK_RESTATE_INGRESS_URL"),
        (lambda: RestateSettings(connect_timeout=-1), "connect_timeout=-1 is no time"),
        (lambda: RestateSettings(auth_token="t"), "auth_token must be a Secret"),
        (lambda: RestateSettings(http_version="3"), "http_version='3' is not known: use one of 1.1, 2"),
        (lambda: GatewaySettings(5), "5 is no address of a gateway: set KALLBACK_GATEWAY_URL"),
        (lambda: DeadLetterSettings(per_second="x"), "per_second must be a whole number, not str"),
        (lambda: Settings("localhost:9092"), r"kafka must be KafkaSettings\(\.\.\.\), not str"),
        (lambda: Settings(topics="kallback."), r"topics must be Topics\(\.\.\.\), not str"),
        (lambda: Settings(keys="k1:x"), r"keys must be KeySettings\(\.\.\.\), not str"),
        (lambda: Worker("kitchen", options={}), r"Worker\('kitchen'\): options must be WorkerOptions, not dict: write"),
        (lambda: Worker("kitchen", options="x"), "options must be WorkerOptions, not str"),
        (lambda: Worker("kitchen", settings="x"), r"settings must be Settings, not str: write Settings\.from_env\(\)"),
        (lambda: Worker("kitchen", settings={}), "settings must be Settings, not dict"),
        (lambda: Worker("kitchen", clock=5), "clock must be a function, not int"),
        (lambda: Worker("kitchen", kafka="localhost:9092"), "kafka must make Kafka clients, not str"),
        (lambda: Worker("kitchen", tracer_provider="x"), "tracer_provider must make tracers, not str"),
        (lambda: Worker("kitchen", trace_parent="x"), "write 'child' or 'link'"),
        (lambda: Bridge("x"), "Bridge: settings must be Settings, not str"),
        (lambda: Bridge(INSECURE, {}), "Bridge: options must be BridgeOptions, not dict"),
        (lambda: Bridge(INSECURE, dependencies="x"), "dependencies must be Dependencies"),
        (lambda: Bridge(INSECURE, on_settled="x"), "on_settled must be a function, not str"),
        (lambda: BridgeOptions(consumer={}), r"BridgeOptions: consumer must be ConsumerOptions\(\.\.\.\), not dict"),
        (lambda: BridgeOptions(client="kafka-python"), "use one of aiokafka, confluent"),
        (lambda: BridgeOptions(late="x"), r"late must be LatePolicies\(\.\.\.\), not str"),
        (lambda: BridgeOptions(backoff=3), r"backoff must be Backoff\(\.\.\.\), not int"),
        (lambda: WorkerOptions(consumer={}), r"WorkerOptions: consumer must be ConsumerOptions\(\.\.\.\), not dict"),
        (lambda: ConsumerOptions(session_timeout=-1), "session_timeout=-1 is no time"),
        (lambda: ConsumerOptions(window=0), "window=0 cannot work: use at least 1"),
        (lambda: ConsumerOptions(group_protocol="x"), "use one of classic, consumer"),
        (lambda: Backoff(first="1"), "first must be a number, not str"),
        (lambda: Backoff(longest=-1), "longest=-1 is no time"),
        (lambda: Gateway("x"), "Gateway: settings must be Settings, not str"),
        (lambda: Gateway(INSECURE, {}), "Gateway: options must be GatewayOptions, not dict"),
        (lambda: GatewayOptions(server={}), r"server must be ServerOptions\(\.\.\.\), not dict"),
        (lambda: GatewayOptions(task_types="x"), "task_types must be a mapping, not str"),
        (lambda: ServerOptions(port=-1), "port=-1 is none: use 1 to 65535, or 0 for a free one"),
        (lambda: Callbacks("x"), "Callbacks: settings must be Settings, not str"),
        (lambda: Callbacks(INSECURE, clock=5), "Callbacks: clock must be a function, not int"),
        (lambda: Callbacks(INSECURE, producer="x"), "Callbacks: producer must be Producer, not str"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(make: Callable[[], Any], words: str) -> None:
    """Later it would be an error of a library, or none at all."""
    with pytest.raises(ConfigurationError, match=words):
        make()


def test_a_secret_is_not_in_the_sentence_that_refuses_it() -> None:
    """A password that is given as a text is still a password."""
    with pytest.raises(ConfigurationError) as caught:
        KafkaSecurity(protocol=SecurityProtocol.SASL_SSL, username="u", password="swordfish")
    assert "swordfish" not in str(caught.value)


def test_the_text_of_a_choice_and_of_a_path_is_taken_for_it() -> None:
    """What a person writes is clear; the clients get the member and the path."""
    security = KafkaSecurity(protocol="SSL", ca_file="ca.pem")
    assert (security.protocol, security.ca_file) == (SecurityProtocol.SSL, Path("ca.pem"))
    assert security.protocol.uses_tls
    assert BridgeOptions(client="aiokafka").client is Client.AIOKAFKA
