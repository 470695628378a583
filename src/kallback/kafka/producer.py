"""The seam through which records leave: one method, acknowledged or an error that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from types import TracebackType

    from kallback.kafka.records import OutgoingRecord, Position


Codec = Literal["gzip", "lz4", "snappy", "zstd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerOptions:
    """How a producer behaves; the same for every client.

    Attributes:
        compression: the codec of record batches. Default: none, which costs no CPU.
        linger: seconds that a record waits for others of its partition. Default 0: it is sent at once.
        batches: records may share a batch. Default True.
    """

    compression: Codec | None = None
    linger: float = 0.0
    batches: bool = True


IN_BATCHES: Final = ProducerOptions(compression="lz4", linger=0.005)
"""For what nothing waits for, such as dead letters: it may wait for others, and a small record that unfolds to a
megabyte stays small. Every broker and client since 0.10 reads lz4."""


@runtime_checkable
class Producer(Protocol):
    """Sends records; idempotent, acknowledged by all in-sync replicas.

    Order: records sent to one partition by calls that began one after the other on one event loop keep that
    order, also when the calls overlap. Those of a batch that a broker refuses as too large are sent again one by one,
    and may be overtaken.
    """

    async def start(self) -> None:
        """Connect; starting twice is fine.

        Raises:
            KafkaUnavailableError: no broker answered within the connect timeout.
            AccessDeniedError: the cluster refuses the credentials or the certificate.
        """
        ...

    async def stop(self) -> None:
        """Send what is queued, wait for its acknowledgements up to the delivery timeout, close.

        Stopping twice is fine. A stopped producer is not started again.
        """
        ...

    async def send(self, record: OutgoingRecord) -> Position:
        """Send one record and wait for its acknowledgement.

        Cancelling stops the waiting only: the record may still be written. After an error that says "try
        again" it may have been written as well: delivery is at least once.

        Raises:
            MissingTopicError: the topic does not exist (permanent until it is created).
            AccessDeniedError: this client may not write there (permanent until it is allowed).
            RecordTooLargeError: neither this nor any later attempt can succeed.
            KafkaUnavailableError: no acknowledgement in time; the same call may succeed later.
        """
        ...

    async def __aenter__(self) -> Self:
        """Start."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        ...
