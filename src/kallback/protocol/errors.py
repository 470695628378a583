"""The one tree of errors. Every sentence says what to do; a leaf exists where the remedy differs.

KallbackError
├── ConfigurationError          something must be set differently before this process can run
│   ├── InvalidKeyError         a signing key is missing, short or unreadable
│   ├── MissingExtraError       a package of an optional extra is not installed
│   ├── MissingTopicError       a topic does not exist, `kallback topics create` makes it
│   ├── AccessDeniedError       a server knows us and says no
│   ├── InstanceIdTakenError    another process has this process's instance id and has taken over
│   └── UnsupportedServerError  a server is too old
├── UnavailableError            a server does not answer now; trying again may help
│   ├── KafkaUnavailableError
│   └── RestateUnavailableError
├── RecordTooLargeError         Kafka will never take this record
└── WireError                   bytes that came from outside are not what the wire says
    ├── UnverifiedError         nothing proves where a record came from (carries the reason)
    │   └── InvalidAwakeableIdError
    ├── UnusableResultError     proven origin, but the value is no result (carries the reason)
    ├── InvalidTaskError        a task record lacks or garbles a header
    ├── InvalidControlError     a control record is not understood
    ├── InvalidProgressError    a progress record is not understood
    ├── InvalidEnvelopeError    an awakeable was completed with something that is no envelope
    ├── EncodeError             a value does not fit its declared type on the way out
    └── DecodeError             bytes do not fit the declared type on the way in
"""

from __future__ import annotations

from typing import ClassVar

from kallback.documentation import error_entry


class KallbackError(Exception):
    """Root of everything that kallback raises on purpose.

    Attributes:
        has_entry: of a class of another module: whether it has an entry of its own among the errors.
    """

    has_entry: ClassVar[bool] = False

    @property
    def help(self) -> str:
        """Address of its entry among the errors of the documentation; of its base's, if only that one has an entry."""
        found = (each for each in type(self).__mro__ if each.__module__ == __name__ or vars(each).get("has_entry"))
        return error_entry(next(found).__name__)


class ConfigurationError(KallbackError):
    """A setting must change before this process can run."""


class InvalidKeyError(ConfigurationError):
    """A signing key is missing, too short or unreadable."""


class MissingExtraError(ConfigurationError, ImportError):
    """An optional extra is not installed; the sentence names the command to type."""


class MissingTopicError(ConfigurationError):
    """A topic does not exist on the cluster."""


class AccessDeniedError(ConfigurationError):
    """A server refuses this process: wrong credentials, or a permission is missing."""


class InstanceIdTakenError(ConfigurationError):
    """Another process uses the same instance id and has taken over: starting again would take it back."""


class UnsupportedServerError(ConfigurationError):
    """A server is older than what kallback relies on."""


class UnavailableError(KallbackError):
    """A server does not answer now; the same call may succeed later."""


class KafkaUnavailableError(UnavailableError):
    """No Kafka broker answers, or none in time."""


class RestateUnavailableError(UnavailableError):
    """Restate does not answer, or not in time."""


class RecordTooLargeError(KallbackError):
    """Kafka will never take this record: it is larger than the topic or the client allows."""


class WireError(KallbackError):
    """Bytes from outside are not what the wire says."""


class UnverifiedError(WireError):
    """Nothing proves where a record came from.

    Attributes:
        reason: a member of `kallback.protocol.Unverified`, as text; fit for a metric label.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class InvalidAwakeableIdError(UnverifiedError):
    """Text that is no canonical awakeable id, or names a reserved signal."""


class UnusableResultError(WireError):
    """The token is good, but the value is no result.

    Attributes:
        reason: a member of `kallback.protocol.Unusable`, as text; fit for a metric label.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class InvalidTaskError(WireError):
    """A task record lacks a header or carries one that cannot be read."""


class InvalidControlError(WireError):
    """A control record is not understood."""


class InvalidProgressError(WireError):
    """A progress record is not understood, or heartbeat details are too large or no JSON."""


class InvalidEnvelopeError(WireError):
    """An awakeable of ours was completed with something that is no envelope of this attempt."""


class EncodeError(WireError):
    """A value does not fit its declared type on the way out."""


class DecodeError(WireError):
    """Bytes do not fit the declared type on the way in."""
