"""Kafka's error codes in kallback's error tree: one table for both clients, because the numbers are the protocol's.

The classes say what to do: create a topic, allow something, drop the record, or try again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import (
    AccessDeniedError,
    ConfigurationError,
    InstanceIdTakenError,
    KafkaUnavailableError,
    KallbackError,
    MissingExtraError,
    MissingTopicError,
    RecordTooLargeError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kallback.kafka.records import Record, TopicPartition
    from kallback.settings import KafkaSettings

# https://kafka.apache.org/protocol#protocol_error_codes; negative ones are librdkafka's own.
MISSING_TOPIC: Final = frozenset({3, -188, -190})
"""A topic or partition does not exist. A running consumer waits until it is created."""
INVALID_TOPIC: Final = frozenset({17})
"""The name is none that a topic can have."""
_TOO_LARGE: Final = frozenset({10, 18})
DENIED: Final = frozenset({29, 30, 31, 53})
"""A permission is missing."""
REBALANCING: Final = frozenset({22, 27, 113})
"""A commit came from a generation of the group that has ended."""
_DENIED_GROUP: Final = frozenset({30})
TOPIC_DENIED: Final = 29
_NO_TOPIC_TO_WRITE: Final = 31
"""Of a producer: without idempotence it is the missing permission to change the cluster."""
_DENIED_TOPIC: Final = frozenset({TOPIC_DENIED, _NO_TOPIC_TO_WRITE})
"""The second one: a producer whose user may write to no topic at all."""
_BAD_CREDENTIALS: Final = frozenset({33, 34, 58, -169, -181})
_FENCED_MEMBER: Final = frozenset({82, -144})
_UNRELEASED_MEMBER: Final = frozenset({111})
_SESSION: Final = frozenset({26})
_MIXED_GROUP: Final = frozenset({23})
_NO_NEW_PROTOCOL: Final = frozenset({35, -165})

# librdkafka hands a consumer's fatal error out under one code of its own; only the words say which it is.
_FATAL_WORDS: Final = {
    "Static consumer fenced": 82,
    "still used by another member": 111,
    "API version not supported": 35,
    "Required feature not supported": -165,
}

_NOT_TAKEN: Final = frozenset({32, 87})
"""Of a producer: the options of the topic allow no such record, as those of a compacted one no record without a key."""

_SENDING: Final = "sending"
CONNECTING: Final = "connecting to Kafka"
"""As part of which aiokafka asks for what makes its producer idempotent."""
_PERMISSIONS: Final = {"looking up ": "DESCRIBE", "asking where ": "DESCRIBE", "reading ": "READ", _SENDING: "WRITE"}
"""What is needed on a topic for what is tried, by its first words."""

_WRITE_SOMEWHERE: Final = (
    "this user may write to no topic, so brokers take nothing of its idempotent producer; let an administrator add the "
    "missing ACL, WRITE on each topic that it writes to (before Kafka 2.8 also IDEMPOTENT_WRITE on the cluster)"
)
_TOPIC_OPTIONS: Final = (
    "the options of the topic allow no such record; remove cleanup.policy=compact and the message.timestamp.* options "
    "from it, or make it with kallback topics create"
)
_REMEDIES: Final[tuple[tuple[frozenset[int], type[KallbackError], str], ...]] = (
    (_NOT_TAKEN, ConfigurationError, _TOPIC_OPTIONS),
    (INVALID_TOPIC, ConfigurationError, "Kafka does not allow this topic name; choose another"),
    (
        _TOO_LARGE,
        RecordTooLargeError,
        (
            "the record is larger than the topic (max.message.bytes) or the client "
            "(KALLBACK_KAFKA_MAX_REQUEST_BYTES) allows; raise the limit or send less"
        ),
    ),
    (DENIED, AccessDeniedError, "let an administrator add the missing ACL"),
    (
        _BAD_CREDENTIALS,
        AccessDeniedError,
        ("check KALLBACK_KAFKA_SECURITY_PROTOCOL, the KALLBACK_KAFKA_SASL_* login and the KALLBACK_KAFKA_SSL_* files"),
    ),
    (
        _FENCED_MEMBER,
        InstanceIdTakenError,
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
        _NO_NEW_PROTOCOL,
        ConfigurationError,
        (
            "the brokers do not know the group protocol 'consumer' (KIP-848), or it is switched off there "
            "(group.coordinator.rebalance.protocols): use GroupProtocol.CLASSIC, or Kafka 4.0 or later"
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

PERMANENT_FOR_A_CLIENT: Final = DENIED | _BAD_CREDENTIALS | MISSING_TOPIC | INVALID_TOPIC | _SESSION | _MIXED_GROUP
"""What a running consumer tells its caller; everything else the clients retry themselves."""

NO_OFFSET_BY_TIME: Final = frozenset({-1, 2, 43, 87})
"""A broker cannot find the offset of a time, however often it is asked: to look into a batch it must decompress it,
and a batch that is damaged, of an old format or too large for its memory fails there."""
SEARCH_FAILED: Final = "the broker cannot search a partition by time, it is read from its beginning"

NO_ANSWER: Final = "no answer"
"""Of a server that accepts connections and is silent, or that cannot even be asked."""


class TopicDeniedError(AccessDeniedError):
    """A permission on one topic is missing; others may be used."""


def error_for(code: int, text: str, *, what: str, topic: str | None = None, group: str | None = None) -> KallbackError:
    """Return the error of our tree for one of Kafka's.

    Args:
        code: Kafka's number of the error.
        text: the client's words.
        what: what was tried, to begin the sentence with: `sending to 'orders'`.
        topic: the topic concerned, if one is.
        group: the consumer group concerned, if one is.
    """
    if code in MISSING_TOPIC and topic is not None:
        return missing_topic(topic)
    if code in _DENIED_GROUP and group is not None:
        return denied_group(group, what=what)
    if code in _MIXED_GROUP:
        return mixed_group(group, text, what=what)
    if code == _NO_TOPIC_TO_WRITE and what.startswith((_SENDING, CONNECTING)):
        return AccessDeniedError(f"{what}{_permission(what)} failed ({text}): {_WRITE_SOMEWHERE}")
    for codes, kind, remedy in _REMEDIES:
        if code in codes and (codes is not _NOT_TAKEN or what.startswith(_SENDING)):
            tried = f"{what}{_permission(what)}" if code in _DENIED_TOPIC else what
            kind = TopicDeniedError if code == TOPIC_DENIED and topic is not None else kind  # noqa: PLW2901 - narrower
            return kind(f"{tried} failed ({text}): {remedy}")
    return KafkaUnavailableError(f"{what} failed ({text}); trying again may help")


def _permission(what: str) -> str:
    """Return the permission that something needs, as ` (READ)`; empty if it is not known, or said already."""
    found = next((name for begin, name in _PERMISSIONS.items() if what.startswith(begin)), "")
    return f" ({found})" if found and not what.endswith(")") else ""


def fatal_code(code: int, text: str) -> int:
    """Return the number of a consumer's fatal error, looked up by its words where librdkafka hides it."""
    return next((number for words, number in _FATAL_WORDS.items() if words in text), code)


def fatal_failure(code: int, text: str, *, what: str, group: str, after_loss: bool) -> KallbackError:
    """Return the error for a consumer's fatal error; `after_loss`: the member may have been fenced by itself."""
    code = fatal_code(code, text)
    if code in _FENCED_MEMBER and after_loss:
        return KafkaUnavailableError(
            f"{what} failed: Kafka was unavailable for longer than the session timeout, and took an earlier request of "
            "this member to join for another process; start a new consumer"
        )
    return error_for(code, text, what=what, group=group)


def missing_topic(topic: str) -> MissingTopicError:
    """Return the error for a topic that is not there."""
    return MissingTopicError(f"Kafka topic {topic!r} does not exist; create it with: kallback topics create {topic}")


def denied_group(group: str, *, what: str) -> AccessDeniedError:
    """Return the error for a consumer group that this user may not be in; the clients do not say which group it is."""
    return AccessDeniedError(
        f"{what} failed (Group authorization failed): this user has no READ on the consumer group {group!r}; "
        "let an administrator add the missing ACL"
    )


def mixed_group(group: str | None, text: str, *, what: str) -> ConfigurationError:
    """Return the error for a group whose other members assign partitions in another way; Kafka says no more."""
    name = "this group" if group is None else f"the group {group!r}"
    return ConfigurationError(
        f"{what} failed ({text}): other members of {name} share partitions out in another way. If they are another "
        "application's, choose another group (kallback bridge --group, or the name in Worker('...')). If they are "
        "bridges, give every one of them an instance id, or none (kallback bridge --instance-id), and without one the "
        "same --client. If they run an older version, stop them first"
    )


def unreachable(settings: KafkaSettings, detail: str = "") -> KafkaUnavailableError:
    """Return the error for a cluster that does not answer."""
    because = f" ({detail})" if detail else ""
    return KafkaUnavailableError(
        f"no Kafka broker answered at {settings.bootstrap_servers} within {settings.connect_timeout:g} s{because}: "
        "start Kafka there, or set KALLBACK_KAFKA_BOOTSTRAP_SERVERS to where it runs (for a TLS or SASL "
        "listener KALLBACK_KAFKA_SECURITY_PROTOCOL too)"
    )


def without_leader(partitions: Collection[TopicPartition], seconds: float) -> KafkaUnavailableError:
    """Return the error for partitions that have had no leader for so long."""
    names = ", ".join(str(each) for each in sorted(partitions))
    return KafkaUnavailableError(
        f"no broker leads {names}, for {seconds:g} s: nothing can be read there until one that holds a replica is "
        "started (kafka-topics.sh --describe --unavailable-partitions)"
    )


def not_read(partitions: Collection[TopicPartition], seconds: float) -> KafkaUnavailableError:
    """Return the error of a reader that does not read partitions although they have records."""
    names = ", ".join(str(each) for each in sorted(partitions))
    return KafkaUnavailableError(
        f"not read for {seconds:g} s though there are records: {names}; start a new reader, and look at the brokers "
        "that lead these partitions if that does not help"
    )


def missing_extra(package: str, *extras: str) -> MissingExtraError:
    """Return the error for a client library that is not installed."""
    commands = " or ".join(f'pip install "kallback[{extra}]"' for extra in extras)
    return MissingExtraError(f"the package {package} is not installed: {commands}")


def damaged_batch(place: str, detail: str) -> ConfigurationError:
    """Return the error of a consumer that stops at a batch it cannot read."""
    return ConfigurationError(
        f"the batch at {place} cannot be read ({detail}): delete it, or let ConsumerOptions.stop_at_damaged_batch be "
        "false, and it is dead-lettered as a stub"
    )


def up_to_damaged(records: Sequence[Record]) -> tuple[Sequence[Record], ConfigurationError | None]:
    """Return the records before the first damaged batch, and the error that names it; None if there is none."""
    for number, record in enumerate(records):
        why = record.unreadable
        if why is not None and why.whole_batch:
            return records[:number], damaged_batch(f"{record.topic}[{record.partition}]@{record.offset}", why.detail)
    return records, None
