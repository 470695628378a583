"""What a token endpoint answers, and how long it may take."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

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
        (200, b'{"access_token": "a", "expires_in": ' + b"9" * 400 + b"}", ConfigurationError, "expires_in"),
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


@pytest.mark.parametrize("form", ["h+s/h", "h%2Bs%2Fh", base64.b64encode(b"kitchen:h%2Bs%2Fh").decode()])
@pytest.mark.parametrize("before", [0, 197])
def test_a_refusal_that_repeats_the_secret_is_told_without_it(form: str, before: int) -> None:
    """In each form that was sent, and not cut in two either."""
    client = OAuthSettings(token_url=URL, client_id="kitchen", client_secret=Secret("h+s/h"))
    body = json.dumps({"error_description": "y" * before + form}).encode()
    with pytest.raises(AccessDeniedError) as caught:
        read_answer(401, body, client, 1000.0)
    assert form[:3] not in str(caught.value)


def test_the_query_of_the_address_is_not_told() -> None:
    """Some endpoints want a key in it."""
    client = settings(URL + "?code=hush")
    with pytest.raises(KafkaUnavailableError, match=r"token\?\*\*\*") as caught:
        read_answer(503, b"", client, 1000.0)
    assert "hush" not in str(caught.value) + repr(client)
    with pytest.raises(ConfigurationError, match="use https") as refused:
        settings("http://login.example.com/token?code=hush")
    assert "hush" not in str(refused.value)


@contextmanager
def answering(*parts: bytes, for_ever: bool = False) -> Generator[str]:
    """A server of one request, which sends these parts; for ever: the last one again and again."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # whom it sends to has hung up
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


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Slow: yes\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
        (b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n", b" "),
    ],
)
def test_an_answer_that_is_given_up_keeps_no_thread(parts: tuple[bytes, ...]) -> None:
    """One for each try would be left behind, for as long as bytes come."""
    before = set(threading.enumerate())
    with answering(*parts, for_ever=True) as url:
        with pytest.raises(KafkaUnavailableError, match="no whole answer"):
            fetch_token(settings(url), timeout=0.3)
        for left in set(threading.enumerate()) - before:
            if left.name == "kallback-token":
                left.join(10)
                assert not left.is_alive()


@pytest.mark.parametrize("url", ["https://login..example.com/token", "https://127.0.0.1:1/t\xf6ken"])
def test_an_address_that_cannot_be_asked(url: str) -> None:
    """Python finds out when it connects."""
    with pytest.raises(ConfigurationError, match="cannot be asked: check KALLBACK_KAFKA_SASL_OAUTH_TOKEN_URL"):
        fetch_token(settings(url))


def test_a_redirection_to_no_address() -> None:
    """It is not looked at."""
    with (
        answering(b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n") as url,
        pytest.raises(ConfigurationError, match="status 302"),
    ):
        fetch_token(settings(url))


def test_an_endpoint_that_breaks_off_in_a_refusal() -> None:
    """The refusal's body is read, too, and the connection may break there."""
    head = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    with answering(head) as url, pytest.raises(KafkaUnavailableError, match="does not answer"):
        fetch_token(settings(url))


def test_an_endpoint_that_hangs_up() -> None:
    """The sentence names its address."""
    with answering() as url, pytest.raises(KafkaUnavailableError, match=f"{url} does not answer"):
        fetch_token(settings(url))
