"""Tokens and passwords that change, on a real broker and a token endpoint: both clients log in again and again."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.login_kafka import SCOPE, SECRET, SESSION_S, LoginKafka, login_kafka

from kallback.kafka import Client, Consumer, ConsumerOptions, OutgoingRecord, Producer, clients_of, groups_of
from kallback.kafka.login import token_source
from kallback.protocol import AccessDeniedError, KafkaUnavailableError, KallbackError
from kallback.settings import KafkaSettings
from kallback.settings.files.secret_file import SecretFile
from kallback.testing import eventually
from kallback.testing.log_capture import capture_logs
from kallback.testing.servers.ports import free_ports

pytestmark = [
    pytest.mark.integration,
    pytest.mark.local_servers,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl signs the tokens"),
]
CLIENTS = list(Client)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[LoginKafka]:
    """One broker and one endpoint for all tests of this file."""
    with login_kafka(tmp_path_factory.mktemp("tokens")) as it:
        yield it


@pytest.fixture
def kafka(started: LoginKafka, monkeypatch: pytest.MonkeyPatch) -> Generator[LoginKafka]:
    """The endpoint as it was at first, and no token from another test."""
    monkeypatch.setattr(token_source, "_sources", {})
    endpoint = started.endpoint
    before = replace(endpoint)
    endpoint.issued.clear()
    yield started
    endpoint.lifetime, endpoint.down, endpoint.audience = before.lifetime, before.down, before.audience
    endpoint.told = before.told


class Line:
    """A producer and a consumer that run on, and what came through."""

    def __init__(self, producer: Producer, consumer: Consumer, topic: str) -> None:
        self._producer, self._consumer, self._topic = producer, consumer, topic
        self.sent: list[bytes] = []
        self.arrived: list[bytes | None] = []

    async def pass_on(self) -> None:
        """Send one record, and read until it is there."""
        value = b"%d" % len(self.sent)
        await self._producer.send(OutgoingRecord(self._topic, value))
        self.sent.append(value)
        while len(self.arrived) < len(self.sent):
            records = await self._consumer.fetch(10, 30)
            assert records, "nothing arrived within 30 s"
            for record in records:
                self.arrived.append(record.value)
                self._consumer.done(record)

    async def flow(self, ended: asyncio.Event) -> None:
        """Pass on records until told to end."""
        while not ended.is_set():
            await self.pass_on()


@asynccontextmanager
async def line(client: Client, settings: KafkaSettings, topic: str) -> AsyncGenerator[Line]:
    """Both clients of a kind, logged in."""
    clients = clients_of(client, settings)
    async with AsyncExitStack() as until:
        producer = await until.enter_async_context(clients.producer())
        consumer = await until.enter_async_context(clients.consumer([topic], f"{topic}.{client}", ConsumerOptions()))
        yield Line(producer, consumer, topic)


async def refusal(client: Client, settings: KafkaSettings) -> KallbackError:
    """What a producer says that is not let in; topics cannot be listed for the same reason."""
    clients = clients_of(client, settings)
    found: list[KallbackError] = []
    for start in (clients.producer().start, clients.list_topics):
        with pytest.raises(KallbackError) as caught:
            await start()
        found.append(caught.value)
    assert type(found[0]) is type(found[1])
    assert SECRET not in str(found)
    return found[0]


@pytest.mark.parametrize("client", CLIENTS)
async def test_both_clients_log_in_with_one_token(kafka: LoginKafka, client: Client) -> None:
    """All Kafka clients of a process share it."""
    async with line(client, kafka.settings(), kafka.topics("token")) as running:
        await running.pass_on()
    assert len(kafka.endpoint.issued) == 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_token_is_renewed_while_records_flow(kafka: LoginKafka, client: Client) -> None:
    """The broker ends sessions, tokens expire: each record arrives once and in order."""
    kafka.endpoint.lifetime = 5.0
    async with line(client, kafka.settings(), kafka.topics("token")) as running:
        while len(kafka.endpoint.issued) < 2:
            await running.pass_on()
    assert running.arrived == running.sent


def failure(kafka: LoginKafka) -> KallbackError | None:
    """Why the token was not renewed."""
    return token_source.token_failure(kafka.settings())


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_endpoint_that_is_down_at_the_renewal_ends_nothing(kafka: LoginKafka, client: Client) -> None:
    """The token that is there is used; when it has expired, records wait until the endpoint is back.

    librdkafka asks again only ten seconds after there is no token, so with it the endpoint is back before.
    """
    kafka.endpoint.lifetime = 5.0
    with capture_logs("kallback.kafka") as lines:
        async with line(client, kafka.settings(), kafka.topics("token")) as running:
            await running.pass_on()
            kafka.endpoint.down = True
            ended = asyncio.Event()
            flowing = asyncio.create_task(running.flow(ended))
            await eventually("a failed renewal", lambda: failure(kafka))
            if client is Client.AIOKAFKA:
                await eventually("the token's end", lambda: time.time() > kafka.endpoint.issued[-1] + 6)
            kafka.endpoint.down = False
            await eventually("a renewal", lambda: failure(kafka) is None)
            ended.set()
            await flowing
            await running.pass_on()
    assert running.arrived == running.sent
    (said,) = [each for each in lines if each["event"].startswith("access token not renewed")]
    assert "/token does not answer" in said["reason"]


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_wrong_secret_is_said_to_be_one(kafka: LoginKafka, client: Client) -> None:
    """With the endpoint's own words, but for the secret in them."""
    error = await refusal(client, kafka.settings(secret="wr0ng-one"))
    assert isinstance(error, AccessDeniedError)
    assert "status 401: invalid_client no such client with ***" in str(error)
    assert "_CLIENT_SECRET" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_token_that_the_broker_refuses(kafka: LoginKafka, client: Client) -> None:
    """The sentence names the mechanism and what the broker checks."""
    kafka.endpoint.audience = "another service"
    error = await refusal(client, kafka.settings())
    assert isinstance(error, AccessDeniedError)
    assert "OAUTHBEARER" in str(error)
    assert "audience" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_token_that_the_broker_refuses_later_is_replaced(
    kafka: LoginKafka, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends long before the endpoint has said, as if revoked: a new one is asked for, and records flow on."""
    monkeypatch.setattr(token_source, "_REFUSED_AGE_S", 1.0)
    monkeypatch.setattr("kallback.kafka.confluent.login._ASKED_EVERY_S", 2.0)
    kafka.endpoint.lifetime, kafka.endpoint.told = 4.0, 600.0
    with capture_logs("kallback.kafka") as lines:
        async with line(client, kafka.settings(), kafka.topics("token")) as running:
            while len(kafka.endpoint.issued) < 2:
                await running.pass_on()
            await running.pass_on()
    assert running.arrived == running.sent
    assert any("the broker refuses the access token" in each["event"] for each in lines)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_refused_token_ends_no_process_that_was_let_in(
    kafka: LoginKafka, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that is replaced during the trouble is tried again, as a running one logs in again."""
    monkeypatch.setattr(token_source, "_REFUSED_AGE_S", 1.0)
    monkeypatch.setattr("kallback.kafka.confluent.login._ASKED_EVERY_S", 2.0)
    kafka.endpoint.lifetime, kafka.endpoint.told = 4.0, 600.0
    settings, topic = kafka.settings(seconds=3.0), kafka.topics("token")
    async with line(client, settings, topic) as running:
        await running.pass_on()
        kafka.endpoint.audience = "another service"
        await eventually("a token that is refused from the first", lambda: len(kafka.endpoint.issued) > 1)
        with pytest.raises(KafkaUnavailableError, match="logs in again with the next token"):
            await clients_of(client, settings).consumer([topic], f"{topic}.replaced", ConsumerOptions()).start()


@pytest.mark.parametrize("client", CLIENTS)
async def test_groups_are_asked_for_with_a_token(kafka: LoginKafka, client: Client) -> None:
    """Each group's committed offsets are asked for with a client of its own, which is not polled."""
    topic = kafka.topics("token")
    async with line(client, kafka.settings(), topic) as running:
        await running.pass_on()
    [group] = [each for each in await groups_of(kafka.settings(), [topic]) if each.name == f"{topic}.{client}"]
    assert sum(group.committed.values()) == 1


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_endpoint_that_does_not_run(kafka: LoginKafka, client: Client) -> None:
    """The sentence names its address, and not the broker's."""
    (nowhere,) = free_ports(1)
    error = await refusal(client, kafka.settings(url=f"http://127.0.0.1:{nowhere}/token"))
    assert isinstance(error, KafkaUnavailableError)
    assert f"http://127.0.0.1:{nowhere}/token does not answer" in str(error)


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_function_provides_the_token(
    kafka: LoginKafka, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of cloud providers do."""
    monkeypatch.setitem(PROVIDED, "token", lambda: (kafka.endpoint.token(SCOPE), time.time() + 60))
    async with line(client, kafka.settings(provider=f"{__name__}:provided"), kafka.topics("token")) as running:
        await running.pass_on()


PROVIDED: dict[str, Callable[[], tuple[str, float]]] = {}


def provided() -> tuple[str, float]:
    """What the test above has in mind."""
    return PROVIDED["token"]()


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_password_changes_in_its_file_while_records_flow(
    kafka: LoginKafka, client: Client, tmp_path: Path
) -> None:
    """The broker ends each session after two seconds, and then knows the new password only."""
    kafka.change_password("the first")
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_text("the first\n")
    settings = kafka.password(SecretFile("KALLBACK_KAFKA_SASL_PASSWORD_FILE", file))
    async with line(client, settings, kafka.topics("password")) as running:
        await running.pass_on()
        kafka.change_password("the second")
        file.write_text("the second\n")
        changed = time.monotonic()
        while time.monotonic() < changed + 2 * SESSION_S:
            await running.pass_on()
    assert running.arrived == running.sent


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_secret_changes_in_its_file(kafka: LoginKafka, client: Client, tmp_path: Path) -> None:
    """It counts when the next token is asked for."""
    file = tmp_path / "secret"
    file.touch(0o600)
    file.write_text("an old one")
    settings = kafka.settings(secret=SecretFile("KALLBACK_KAFKA_SASL_OAUTH_CLIENT_SECRET_FILE", file))
    assert isinstance(await refusal(client, settings), AccessDeniedError)
    file.write_text(SECRET)
    await eventually("the new secret", lambda: asyncio.to_thread(found_token, settings), interval=0.2)
    async with line(client, settings, kafka.topics("token")) as running:
        await running.pass_on()


def found_token(settings: KafkaSettings) -> bool:
    """Whether there is a token."""
    try:
        token_source.token_source(settings).token()
    except AccessDeniedError:
        return False
    return True
