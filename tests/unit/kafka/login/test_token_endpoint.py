"""What a token endpoint answers, and how long it may take."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from kallback.kafka.login.token_endpoint import fetch_token, read_answer
from kallback.protocol.errors import AccessDeniedError, ConfigurationError, KafkaUnavailableError, KallbackError
from kallback.settings import OAuthSettings, Secret

URL = "https://login.example.com/token"


def settings(url: str = URL) -> OAuthSettings:
    """A client."""
    return OAuthSettings(token_url=url, client_id="kitchen", client_secret=Secret("hush"))


@pytest.mark.parametrize("lifetime", [60, "60.0"])
def test_a_token_and_its_lifetime(lifetime: object) -> None:
    """Some servers send the lifetime as text."""
    body = json.dumps({"access_token": "a.b-c", "token_type": "Bearer", "expires_in": lifetime}).encode()
    token = read_answer(200, body, settings(), 1000.0)
    assert (token.text.reveal(), token.expires_at) == ("a.b-c", 1060.0)
    assert "a.b-c" not in repr(token)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (200, b"<html>", ConfigurationError, "no access token"),
        (200, b"[" * 100_000, ConfigurationError, "no access token"),
        (200, b'{"access_token": "a"}' + b" " * 300_000, ConfigurationError, "no access token"),
        (200, b'{"token": "a"}', ConfigurationError, "no access token"),
        (200, b'{"access_token": "a"}', ConfigurationError, "expires_in"),
        (200, b'{"access_token": "a\\u0001", "expires_in": 1}', ConfigurationError, "no bearer token"),
        (200, b'{"access_token": "a", "expires_in": 0}', ConfigurationError, "expired already"),
        (302, b"", ConfigurationError, "status 302: check KALLBACK_KAFKA_SASL_OAUTH_TOKEN_URL"),
        (404, b"", ConfigurationError, "TOKEN_URL"),
        (400, b'{"error": "invalid_scope"}', AccessDeniedError, "400: invalid_scope"),
        (401, b'{"error": "invalid_client", "error_description": "hush is wrong"}', AccessDeniedError, r"\*\*\* is"),
        (403, b"no", AccessDeniedError, "CLIENT_SECRET"),
        (429, b"", KafkaUnavailableError, "trying again"),
        (503, b"", KafkaUnavailableError, "trying again"),
    ],
)
def test_each_other_answer_has_its_error_and_remedy(
    status: int, body: bytes, kind: type[KallbackError], words: str
) -> None:
    """With the endpoint's address, and never the client's secret."""
    with pytest.raises(kind, match=words) as caught:
        read_answer(status, body, settings(), 1000.0)
    assert URL in str(caught.value)
    assert "hush" not in str(caught.value)


@contextmanager
def answering(*parts: bytes, for_ever: bool = False) -> Generator[str]:
    """A server of one request, which sends these parts; for ever: the last one again and again."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                for part in parts:
                    connection.sendall(part)
                while for_ever and not ended.wait(0.05):
                    connection.sendall(parts[-1])

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/token"
        ended.set()
        thread.join()


def test_a_redirection_is_not_followed() -> None:
    """It would carry the secret to another server."""
    with (
        answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as url,
        pytest.raises(ConfigurationError, match="status 302"),
    ):
        fetch_token(settings(url))


def test_an_answer_that_never_ends_is_given_up() -> None:
    """However steadily it comes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with answering(head, b" ", for_ever=True) as url, pytest.raises(KafkaUnavailableError, match="no whole answer"):
        fetch_token(settings(url), timeout=0.3)


def test_an_endpoint_that_hangs_up() -> None:
    """The sentence names its address."""
    with answering() as url, pytest.raises(KafkaUnavailableError, match=f"{url} does not answer"):
        fetch_token(settings(url))
