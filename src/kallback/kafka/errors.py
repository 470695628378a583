"""Kafka's error codes in kallback's error tree: one table for both clients, because the numbers are the protocol's.

The classes say what to do: create a topic, allow something, drop the record, or try again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import (
    AccessDeniedError,
    ConfigurationError,
    KafkaUnavailableError,
    KallbackError,
    MissingExtraError,
    MissingTopicError,
    RecordTooLargeError,
)

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings

# https://kafka.apache.org/protocol#protocol_error_codes; negative ones are librdkafka's own.
_MISSING_TOPIC: Final = frozenset({3, -188, -190})
_INVALID_TOPIC: Final = frozenset({17})
_TOO_LARGE: Final = frozenset({10, 18})
_DENIED: Final = frozenset({29, 30, 31, 53})
_DENIED_GROUP: Final = frozenset({30})
_BAD_CREDENTIALS: Final = frozenset({33, 34, 58, -169, -181})
_FENCED_MEMBER: Final = frozenset({82, -144})
_UNRELEASED_MEMBER: Final = frozenset({111})
_SESSION: Final = frozenset({26})
_MIXED_GROUP: Final = frozenset({23})

# librdkafka hands a consumer's fatal error out under one code of its own; only the words say which it is.
_FATAL_WORDS: Final = {"Static consumer fenced": 82, "still used by another member": 111}

_REMEDIES: Final[tuple[tuple[frozenset[int], type[KallbackError], str], ...]] = (
    (_INVALID_TOPIC, ConfigurationError, "Kafka does not allow this topic name; choose another"),
    (
        _TOO_LARGE,
        RecordTooLargeError,
        (
            "the record is larger than the topic (max.message.bytes) or the client "
            "(KALLBACK_KAFKA_MAX_REQUEST_BYTES) allows; raise the limit or send less"
        ),
    ),
    (_DENIED, AccessDeniedError, "let an administrator add the missing ACL"),
    (
        _BAD_CREDENTIALS,
        AccessDeniedError,
        (
            "check KALLBACK_KAFKA_SECURITY_PROTOCOL, the KALLBACK_KAFKA_SASL_* user and password, and the "
            "KALLBACK_KAFKA_SSL_* files"
        ),
    ),
    (
        _FENCED_MEMBER,
        ConfigurationError,
        (
            "another process uses the same instance id and has taken over; give each process its own (for bridges "
            "kallback bridge --instance-id)"
        ),
    ),
    (
        _SESSION,
        ConfigurationError,
        (
            "the brokers allow no such session timeout: 6 s to 30 min unless group.min.session.timeout.ms or "
            "group.max.session.timeout.ms is set there"
        ),
    ),
    (
        _MIXED_GROUP,
        ConfigurationError,
        (
            "the members of this group share partitions out in another way: give every one of them an instance id, "
            "or none (for bridges kallback bridge --instance-id)"
        ),
    ),
    (
        _UNRELEASED_MEMBER,
        KafkaUnavailableError,
        (
            "the broker still counts the dead member of this group_instance_id; try again when its session timeout "
            "is over"
        ),
    ),
)

PERMANENT_FOR_A_CLIENT: Final = _DENIED | _BAD_CREDENTIALS | _MISSING_TOPIC | _INVALID_TOPIC | _SESSION | _MIXED_GROUP
"""What a running consumer tells its caller; everything else the clients retry themselves."""


def error_for(code: int, text: str, *, what: str, topic: str | None = None, group: str | None = None) -> KallbackError:
    """Return the error of our tree for one of Kafka's.

    Args:
        code: Kafka's number of the error.
        text: the client's words.
        what: what was tried, to begin the sentence with: `sending to 'orders'`.
        topic: the topic concerned, if one is.
        group: the consumer group concerned, if one is.
    """
    if code in _MISSING_TOPIC and topic is not None:
        return missing_topic(topic)
    if code in _DENIED_GROUP and group is not None:
        return denied_group(group, what=what)
    for codes, kind, remedy in _REMEDIES:
        if code in codes:
            return kind(f"{what} failed ({text}): {remedy}")
    return KafkaUnavailableError(f"{what} failed ({text}); trying again may help")


def fatal_code(code: int, text: str) -> int:
    """Return the number of a consumer's fatal error, looked up by its words where librdkafka hides it."""
    return next((number for words, number in _FATAL_WORDS.items() if words in text), code)


def missing_topic(topic: str) -> MissingTopicError:
    """Return the error for a topic that is not there."""
    return MissingTopicError(f"Kafka topic {topic!r} does not exist; create it with: kallback topics create {topic}")


def denied_group(group: str, *, what: str) -> AccessDeniedError:
    """Return the error for a consumer group that this user may not be in; the clients do not say which group it is."""
    return AccessDeniedError(
        f"{what} failed (Group authorization failed): this user has no READ on the consumer group {group!r}; "
        "let an administrator add the missing ACL"
    )


def unreachable(settings: KafkaSettings, detail: str = "") -> KafkaUnavailableError:
    """Return the error for a cluster that does not answer."""
    because = f" ({detail})" if detail else ""
    return KafkaUnavailableError(
        f"no Kafka broker answered at {settings.bootstrap_servers} within {settings.connect_timeout:g} s{because}: "
        "start Kafka there, or set KALLBACK_KAFKA_BOOTSTRAP_SERVERS to where it runs (for a TLS or SASL "
        "listener KALLBACK_KAFKA_SECURITY_PROTOCOL too)"
    )


def missing_extra(package: str, *extras: str) -> MissingExtraError:
    """Return the error for a client library that is not installed."""
    commands = " or ".join(f'pip install "kallback[{extra}]"' for extra in extras)
    return MissingExtraError(f"the package {package} is not installed: {commands}")
