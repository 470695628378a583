"""Fixtures for tests on real servers; pytest loads this module wherever kallback is installed, so it imports nothing.

Servers are started once per session, when the first test asks for them. One that this machine cannot run skips the
tests that need it, with one sentence. With `KALLBACK_REQUIRE_SERVERS=1` it fails them, and the embedded Kafka is not
used.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from kallback.settings import Settings, Topics
    from kallback.testing.containers import ApacheKafkaContainer, RestateServerContainer
    from kallback.testing.servers.base import KafkaServer, RestateServer
    from kallback.testing.stack import Stack
    from kallback.testing.topics import TopicFactory

Started = TypeVar("Started")


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> Generator[KafkaServer]:
    """A running Kafka, shared by the session: use your own topics (`topic_names`)."""
    from kallback.testing.environment import ServerEnvironment  # noqa: PLC0415 - loaded on demand
    from kallback.testing.stack import KafkaOptions, start_kafka  # noqa: PLC0415 - loaded on demand

    options = KafkaOptions(embedded=not ServerEnvironment.read().require_servers)
    with _or_skip(_shown(request, start_kafka(options))) as server:
        yield server


@pytest.fixture(scope="session")
def restate_server(request: pytest.FixtureRequest) -> Generator[RestateServer]:
    """A running Restate, shared by the session, which suspends idle invocations after a second."""
    from kallback.testing.stack import RestateOptions, start_restate  # noqa: PLC0415 - loaded on demand

    quick = RestateOptions(configuration={"worker.invoker.inactivity-timeout": "1s"})
    with _or_skip(_shown(request, start_restate(quick))) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_container() -> Generator[ApacheKafkaContainer]:
    """A Kafka in a container, shared by the session, whatever `KALLBACK_TEST_SERVERS` says."""
    with _or_skip(_container("ApacheKafkaContainer")) as server:
        yield server


@pytest.fixture(scope="session")
def restate_container() -> Generator[RestateServerContainer]:
    """A Restate in a container, shared by the session, which suspends idle invocations after a second."""
    quick = {"worker.invoker.inactivity-timeout": "1s"}
    with _or_skip(_container("RestateServerContainer", configuration=quick)) as server:
        yield server


@pytest.fixture(scope="session")
def kallback_stack(kafka_server: KafkaServer, restate_server: RestateServer) -> Stack:
    """Both servers. Tests that kill or pause one take a stack of their own: `start_stack()`."""
    from kallback.testing.stack import Stack  # noqa: PLC0415 - loaded on demand

    return Stack(kafka_server, restate_server)


@pytest.fixture(scope="session")
def topics_factory(kafka_server: KafkaServer) -> TopicFactory:
    """Creates topics: `topics_factory("orders", partitions=3)` returns the unique name."""
    from kallback.testing.topics import TopicFactory  # noqa: PLC0415 - loaded on demand

    return TopicFactory(kafka_server)


@pytest.fixture
def topic_names(topics_factory: TopicFactory) -> Topics:
    """The topics of kallback under a prefix of this test: results, progress, control, outcomes, dead letters."""
    from uuid import uuid4  # noqa: PLC0415 - loaded on demand

    from kallback.settings import Topics  # noqa: PLC0415 - loaded on demand

    topics = Topics(prefix=f"kallback-{uuid4().hex[:8]}.")
    topics_factory.make(topics.all(), partitions=2)
    return topics


@pytest.fixture
def kallback_settings(kallback_stack: Stack, topic_names: Topics, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of this test alone: both servers, `topic_names`, the published key, the address of a gateway for links.

    No gateway runs at that address: https://answers.example.com. A link ends with its token.
    For as long as the test runs, the environment says the same, and nothing else: a worker reads it when it starts.
    """
    import os  # noqa: PLC0415 - loaded on demand

    from kallback.settings import Settings  # noqa: PLC0415 - loaded on demand
    from kallback.settings.variables import is_setting  # noqa: PLC0415 - loaded on demand

    for name in filter(is_setting, list(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", kallback_stack.bootstrap_servers)
    monkeypatch.setenv("KALLBACK_RESTATE_INGRESS_URL", kallback_stack.ingress_url)
    monkeypatch.setenv("KALLBACK_RESTATE_ADMIN_URL", kallback_stack.admin_url)
    monkeypatch.setenv("KALLBACK_TOPICS_PREFIX", topic_names.prefix)
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    monkeypatch.setenv("KALLBACK_GATEWAY_URL", "https://answers.example.com")
    return Settings.from_env()


@contextmanager
def _container(kind: str, **arguments: Any) -> Generator[Any]:
    from kallback.testing import containers  # noqa: PLC0415 - loaded on demand

    with getattr(containers, kind)(**arguments) as server:
        yield server


@contextmanager
def _shown(request: pytest.FixtureRequest, context: AbstractContextManager[Started]) -> Generator[Started]:
    """Start a server with output not captured, so that a person sees downloads while they run."""
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as stack:
        with nullcontext() if capture is None else capture.global_and_fixture_disabled():
            server = stack.enter_context(context)
        yield server


@contextmanager
def _or_skip(context: AbstractContextManager[Started]) -> Generator[Started]:
    from kallback.protocol.errors import ConfigurationError  # noqa: PLC0415 - loaded on demand
    from kallback.testing.environment import ServerEnvironment  # noqa: PLC0415 - loaded on demand

    with ExitStack() as stack:
        try:
            server = stack.enter_context(context)
        except ConfigurationError as error:
            if ServerEnvironment.read().require_servers:
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield server
