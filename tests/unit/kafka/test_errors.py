"""Every error of Kafka has one meaning: create, allow, drop, or try again."""

from __future__ import annotations

import pytest

from kallback.kafka.errors import TopicDeniedError, error_for, fatal_code, fatal_failure
from kallback.protocol.errors import (
    AccessDeniedError,
    ConfigurationError,
    InstanceIdTakenError,
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
        (29, TopicDeniedError, "ACL"),
        (30, AccessDeniedError, "ACL"),
        (58, AccessDeniedError, "KALLBACK_KAFKA_SASL"),
        (-169, AccessDeniedError, "KALLBACK_KAFKA_SASL"),
        (82, InstanceIdTakenError, "instance id"),
        (26, ConfigurationError, "group.min.session.timeout.ms"),
        (111, KafkaUnavailableError, "session timeout"),
        (32, ConfigurationError, "message.timestamp"),
        (87, ConfigurationError, "cleanup.policy=compact"),
        (7, KafkaUnavailableError, "trying again may help"),
        (-192, KafkaUnavailableError, "trying again may help"),
    ],
)
def test_each_code_has_its_error_and_remedy(code: int, kind: type[KallbackError], remedy: str) -> None:
    """The same numbers come from both clients."""
    error = error_for(code, "words", what="sending to 'orders'", topic="orders")
    assert type(error) is kind
    assert remedy in str(error)


@pytest.mark.parametrize(
    ("code", "what", "said"),
    [
        (29, "looking up 'orders'", "looking up 'orders' (DESCRIBE) failed"),
        (29, "asking where orders end", "asking where orders end (DESCRIBE) failed"),
        (29, "reading 'orders'", "reading 'orders' (READ) failed"),
        (29, "sending to 'orders'", "sending to 'orders' (WRITE) failed"),
        (31, "sending", "sending (WRITE) failed"),
        (29, "looking up 'orders' (DESCRIBE_CONFIGS)", "looking up 'orders' (DESCRIBE_CONFIGS) failed"),
        (30, "reading 'orders'", "reading 'orders' failed"),
        (29, "asking for open transactions", "asking for open transactions failed"),
        (10, "sending to 'orders'", "sending to 'orders' failed"),
    ],
)
def test_a_refusal_names_the_permission_that_is_missing(code: int, what: str, said: str) -> None:
    """An administrator adds one, and the words of Kafka do not say which."""
    assert str(error_for(code, "words", what=what)).startswith(said)


def test_a_producer_that_may_write_nowhere_is_told_which_acl() -> None:
    """Kafka refuses its idempotence, and says "cluster": no permission on the cluster is needed since 2.8."""
    said = str(error_for(31, "Cluster authorization failed", what="sending to 'orders'", topic="orders"))
    assert said.startswith("sending to 'orders' (WRITE) failed (Cluster authorization failed): this user may write to")
    assert "the missing ACL, WRITE on each topic that it writes to" in said
    assert "IDEMPOTENT_WRITE" not in str(error_for(31, "words", what="creating topics"))


def test_a_refused_group_is_named() -> None:
    """Neither client's words say which group it is, nor what it takes."""
    error = error_for(30, "words", what="reading orders", group="kitchen")
    assert type(error) is AccessDeniedError
    assert "READ on the consumer group 'kitchen'" in str(error)
    assert str(error).endswith("let an administrator add the missing ACL")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id", 82),
        ("Broker: The instance ID is still used by another member in the consumer group", 111),
        ("Local: something else", -150),
    ],
)
def test_librdkafka_tells_fatal_errors_by_words(words: str, code: int) -> None:
    """All of them come under one code."""
    assert fatal_code(-150, words) == code


@pytest.mark.parametrize(("after_loss", "kind"), [(False, InstanceIdTakenError), (True, KafkaUnavailableError)])
def test_a_member_that_is_fenced_after_an_outage_is_replaced(after_loss: bool, kind: type[KallbackError]) -> None:  # noqa: FBT001
    """Kafka may have answered an older request of its own to join last; nobody else has its instance id."""
    said = "Broker: Static consumer fenced by other consumer with same group.instance.id"
    failure = fatal_failure(-150, said, what="reading", group="g", after_loss=after_loss)
    assert type(failure) is kind


def test_only_a_producer_is_told_of_options_that_allow_no_such_record() -> None:
    """A broker that searches by time uses the same number for a batch that it cannot read."""
    assert type(error_for(87, "words", what="reading 'orders'", topic="orders")) is KafkaUnavailableError
