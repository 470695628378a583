"""Kafka and Restate in containers, for tests: what people deploy, at pinned versions. Needs Docker and testcontainers.

    with ApacheKafkaContainer() as kafka, RestateServerContainer() as restate:
        ...  # kafka.bootstrap_servers, restate.ingress_url, restate.admin_url

They are containers of testcontainers (`with_env`, `with_network`, `exec`, ...) and servers of this package: `stop`,
`kill` and `start` keep ports and data, `close` or the end of `with` removes them. The fixtures `kafka_container` and
`restate_container` are one of each per session; with `KALLBACK_TEST_SERVERS=containers` all fixtures and `start_stack`
use containers.
"""

from __future__ import annotations

from kallback.protocol.errors import MissingExtraError

try:
    from kallback.testing.containers.kafka import KAFKA_IMAGE, ApacheKafkaContainer
    from kallback.testing.containers.restate import RESTATE_IMAGE, RestateServerContainer
except ModuleNotFoundError as error:
    if error.name is None or error.name.startswith("kallback"):
        raise
    raise MissingExtraError(
        f'kallback.testing.containers needs {error.name}: pip install "kallback[containers]"', name=error.name
    ) from error

__all__ = ["KAFKA_IMAGE", "RESTATE_IMAGE", "ApacheKafkaContainer", "RestateServerContainer"]
