"""What every server of a test stack can do, whether it is a process, a container or given by its address.

All calls block. In a coroutine, use `await asyncio.to_thread(stack.kafka.start)`.
"""

from __future__ import annotations

from typing import Protocol


class Server(Protocol):
    """A server that can be started, stopped, killed and paused.

    `start` returns when it answers, on the same ports and data as before; `stop` asks it to end; `kill` is SIGKILL;
    `pause` freezes it with its connections open, until `resume`. `close` ends it and removes its data. A second call of
    any of them has no effect. A server that was given by its address raises `NotOursError` from all but `start` and
    `close`.
    """

    @property
    def description(self) -> str:
        """What runs, where, in one line."""
        ...

    def start(self) -> object: ...  # noqa: D102 - see the class; a container returns itself

    def stop(self) -> None: ...  # noqa: D102 - see the class

    def kill(self) -> None: ...  # noqa: D102 - see the class

    def pause(self) -> None: ...  # noqa: D102 - see the class

    def resume(self) -> None: ...  # noqa: D102 - see the class

    def close(self) -> None: ...  # noqa: D102 - see the class


class KafkaServer(Server, Protocol):
    """A Kafka cluster to test against."""

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients are given."""
        ...


class RestateServer(Server, Protocol):
    """A Restate server to test against."""

    @property
    def ingress_url(self) -> str:
        """Where handlers are called and awakeables completed."""
        ...

    @property
    def admin_url(self) -> str:
        """Where deployments are registered and SQL is answered."""
        ...

    @property
    def services_host(self) -> str:
        """The name by which it reaches services on this machine; `127.0.0.1` if it runs here as well."""
        ...
