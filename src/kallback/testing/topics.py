"""Topics for tests: created on a real broker; the embedded one creates a topic when a client asks for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kallback.testing.errors import ServerStartError
from kallback.testing.servers.embedded_kafka import EmbeddedKafka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from kallback.testing.servers.base import KafkaServer


_VISIBLE_TIMEOUT_S: Final = 60.0
_POLL_INTERVAL_S: Final = 0.05


class TopicFactory:
    """Creates topics with unique names.

    Args:
        server: where to create them.
    """

    def __init__(self, server: KafkaServer) -> None:
        self._server = server
        self._admin = AdminClient({"bootstrap.servers": server.bootstrap_servers, "log_level": 0})

    def __call__(self, name: str = "topic", *, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create a topic called `name` with a unique suffix and return its full name."""
        unique = f"{name}.{uuid4().hex[:8]}"
        self.make([unique], partitions=partitions, config=config)
        return unique

    def make(self, names: Iterable[str], *, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create topics of exactly these names and wait until clients see them; existing ones are not changed."""
        if isinstance(self._server, EmbeddedKafka):
            for name in names:
                self._admin.list_topics(name, timeout=10)
            return
        wanted = list(names)
        new = [NewTopic(name, partitions, 1, config=dict(config or {})) for name in wanted]
        create = cast("Callable[..., dict[str, Future[None]]]", self._admin.create_topics)  # pyright: ignore[reportUnknownMemberType] - a bare Future
        futures = create(new, operation_timeout=20)
        for future in futures.values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        self._wait_for(wanted)

    def _wait_for(self, names: Iterable[str]) -> None:
        """Wait until clients see them: a broker acknowledges a topic before it lists it."""
        deadline = time.monotonic() + _VISIBLE_TIMEOUT_S
        for name in names:
            while self._admin.list_topics(name, timeout=10).topics[name].error is not None:
                if time.monotonic() > deadline:
                    raise ServerStartError(
                        f"topic {name} was created but is not visible within {_VISIBLE_TIMEOUT_S:g} s"
                    )
                time.sleep(_POLL_INTERVAL_S)
