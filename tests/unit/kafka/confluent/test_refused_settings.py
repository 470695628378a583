"""What librdkafka refuses when a client is made, in sentences that name the setting to change."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from confluent_kafka import KafkaError, KafkaException

from kallback.kafka.confluent.client import build, confluent_config
from kallback.protocol.errors import KallbackError
from kallback.settings import KafkaSecurity, KafkaSettings, SaslMechanism, SecurityProtocol

KERBEROS = KafkaSecurity(protocol=SecurityProtocol.SASL_SSL, mechanism=SaslMechanism.GSSAPI)


def without_kerberos(_config: dict[str, Any]) -> NoReturn:
    """Refuse as the librdkafka in confluent-kafka's wheels does."""
    reason = "Failed to create producer: No provider for SASL mechanism GSSAPI: recompile librdkafka with libsasl2"
    raise KafkaException(KafkaError(KafkaError._INVALID_ARG, reason))


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (KafkaSettings(security=KERBEROS), "GSSAPI is not in this librdkafka"),
        (KafkaSettings(extra={"security.protocol": "SASL_SSL", "sasl.mechanisms": "GSSAPI"}), "Build librdkafka"),
        (KafkaSettings(extra={"security.protocol": "SASL_SSL"}), "set KALLBACK_KAFKA_SECURITY_PROTOCOL and KALLBACK_"),
    ],
)
def test_a_client_is_built_anew_only_for_who_asked_for_kerberos(settings: KafkaSettings, remedy: str) -> None:
    """Librdkafka takes GSSAPI where SASL has no mechanism; who forgot it needs another setting, and no compiler."""
    with pytest.raises(KallbackError, match=remedy):
        build(without_kerberos, confluent_config(settings, {}))
