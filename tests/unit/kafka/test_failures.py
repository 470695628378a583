"""Every error of Kafka has one meaning: create, allow, drop, or try again."""

from __future__ import annotations

import pytest

from kallback.kafka.failures import error_for
from kallback.protocol.errors import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    MissingTopicError,
    RecordTooLargeError,
)


@pytest.mark.parametrize(
    ("code", "kind", "remedy"),
    [
        (3, MissingTopicError, "kallback topics create orders"),
        (-188, MissingTopicError, "kallback topics create orders"),
        (17, ConfigurationError, "choose another"),
        (10, RecordTooLargeError, "max.message.bytes"),
        (29, AccessDeniedError, "ACL"),
        (30, AccessDeniedError, "ACL"),
        (58, AccessDeniedError, "KALLBACK_KAFKA_SASL"),
        (-169, AccessDeniedError, "KALLBACK_KAFKA_SASL"),
        (82, ConfigurationError, "group_instance_id"),
        (111, KafkaUnavailableError, "session time-out"),
        (7, KafkaUnavailableError, "trying again may help"),
        (-192, KafkaUnavailableError, "trying again may help"),
    ],
)
def test_each_code_has_its_error_and_remedy(code: int, kind: type[KallbackError], remedy: str) -> None:
    """The same numbers come from both clients."""
    error = error_for(code, "words", what="sending to 'orders'", topic="orders")
    assert type(error) is kind
    assert remedy in str(error)
