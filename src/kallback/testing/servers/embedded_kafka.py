"""librdkafka's mock cluster: a broker inside this process, for machines that can have no Java.

It speaks the protocol, also to other processes and other clients, but is no Kafka. Its limits are in `LIMITS`.
"""

from __future__ import annotations

from confluent_kafka import Producer

from kallback.testing.errors import NotOursError, ServerStartError

LIMITS = (
    "librdkafka's embedded broker replaces Kafka: topics are created on first use, old records are deleted after "
    "about 5 MB a partition, no TLS, SASL, ACLs nor KIP-848, one aiokafka member per group, and it cannot be killed."
)


class EmbeddedKafka:
    """A mock broker that runs as long as the librdkafka client to which it belongs."""

    def __init__(self) -> None:
        self._owner: Producer | None = None
        self._bootstrap_servers = ""

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address; empty before the start."""
        return self._bootstrap_servers

    @property
    def description(self) -> str:
        """What runs, where, and what to expect of it."""
        return f"Embedded Kafka on {self._bootstrap_servers}. {LIMITS}"

    def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            ServerStartError: librdkafka could not start it.
        """
        if self._owner is not None:
            return
        self._owner = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
        for broker in self._owner.list_topics(timeout=5).brokers.values():
            self._bootstrap_servers = f"{broker.host}:{broker.port}"
            return
        raise ServerStartError("librdkafka's embedded broker did not start: use a real Kafka (install Java).")

    def stop(self) -> None:
        """Refuse: it is a part of this process."""
        raise NotOursError("The embedded broker cannot be stopped alone: use a real Kafka (install Java).")

    kill = pause = resume = stop

    def close(self) -> None:
        """Stop it and drop all its records."""
        self._owner = None
        self._bootstrap_servers = ""
