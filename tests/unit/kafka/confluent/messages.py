"""What a librdkafka consumer hands out."""

from __future__ import annotations

from confluent_kafka import KafkaError


class Message:
    """A record of the topic `results`, or the error of a batch that cannot be read, as far as it is read."""

    def __init__(self, offset: int, value: bytes = b"value", *, partition: int = 0, code: int | None = None) -> None:
        self._offset = offset
        self._value = value
        self._partition = partition
        self._error = None if code is None else KafkaError(code)

    def error(self) -> KafkaError | None:
        """Return what is wrong with it."""
        return self._error

    def topic(self) -> str:
        """Return its topic."""
        return "results"

    def partition(self) -> int:
        """Return its partition."""
        return self._partition

    def offset(self) -> int:
        """Return its offset."""
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        """Return which kind of time it has, and when it was written."""
        return 1, 5

    def key(self) -> None:
        """It has no key."""

    def value(self) -> bytes:
        """Return its value."""
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        """Return its headers."""
        return [("name", b"value")]
