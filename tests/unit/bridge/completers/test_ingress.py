"""What the ingress completer puts on the wire."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.unit.bridge.factories import RecordFactory
from tests.unit.bridge.hostile_http2 import serve_http2
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge import Accepted, Completion, IngressCompleter, Misconfigured, Retry, complete
from kallback.protocol import BareAwakeable, Completed, ConfigurationError, Failed
from kallback.settings import RestateSettings, Secret

ACCEPT = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


async def sent(hostile: HostileServer, completion: Completion, **settings: Any) -> tuple[str, bytes]:
    """The head and body of the one request that a completion becomes."""
    hostile.answers(ACCEPT)
    completer = IngressCompleter(RestateSettings(hostile.url, **settings))
    await completer.start()
    await complete(completer, [completion])
    await completer.stop()
    head, _, body = hostile.requests[-1].partition(b"\r\n\r\n")
    return head.decode(), body


async def test_a_token_is_resolved_with_an_envelope(hostile: HostileServer, make: RecordFactory) -> None:
    """The value's bytes stand in it as they came."""
    token = make.token()
    head, body = await sent(hostile, Completion("", token, Completed(b'{"price": 1.10}')))

    assert head.startswith(f"POST /restate/awakeables/{token.awakeable_id}/resolve HTTP/1.1\r\n")
    assert "content-type: application/json" in head.lower()
    assert body == (
        f'{{"kallback":1,"task":"{token.task_id}","attempt":1,"status":"completed","value":{{"price": 1.10}}}}'.encode()
    )


async def test_a_failure_is_resolved_too(hostile: HostileServer, make: RecordFactory) -> None:
    """Rejecting would keep a text only."""
    head, body = await sent(hostile, Completion("", make.token(), Failed(b'{"status":422}')))
    assert "/resolve" in head
    assert body.endswith(b'"status":"failed","error":{"status":422}}')


async def test_a_bare_awakeable_gets_the_value_itself(hostile: HostileServer, make: RecordFactory) -> None:
    """Hand-written code knows no envelope."""
    target = BareAwakeable(make.token().awakeable_id)
    head, body = await sent(hostile, Completion("", target, Completed(b"[1]")))
    assert f"{target.awakeable_id}/resolve" in head
    assert body == b"[1]"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (b'{"detail":"no basil"}', b"no basil"),
        (b'{"title":"Out of stock"}', b"Out of stock"),
        (b'{"type":"OutOfStock"}', b"OutOfStock"),
        (b'{"detail":' + b"[" * 1000 + b"]" * 1000 + b"}", b"the worker reported a failure that cannot be read"),
    ],
)
async def test_a_bare_failure_is_rejected_with_its_text(
    hostile: HostileServer, make: RecordFactory, error: bytes, text: bytes
) -> None:
    """Reject keeps a text, so it gets the best one."""
    target = BareAwakeable(make.token().awakeable_id)
    head, body = await sent(hostile, Completion("", target, Failed(error)))
    assert f"{target.awakeable_id}/reject" in head
    assert "text/plain" in head
    assert body == text


async def test_the_bearer_token_is_sent(hostile: HostileServer, make: RecordFactory) -> None:
    """A protected ingress sees the key."""
    head, _ = await sent(hostile, Completion("", make.token(), Completed(b"1")), auth_token=Secret("key-1"))
    assert "authorization: bearer key-1" in head.lower()


async def test_a_bearer_token_that_is_no_header() -> None:
    """The error names the setting, and not the token."""
    completer = IngressCompleter(RestateSettings(auth_token=Secret("secret\nvalue")))
    with pytest.raises(ConfigurationError, match="KALLBACK_RESTATE_AUTH_TOKEN") as caught:
        await completer.start()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_path_of_the_ingress_address_is_kept(hostile: HostileServer, make: RecordFactory) -> None:
    """Behind a proxy that takes it off."""
    hostile.answers(ACCEPT)
    completer = IngressCompleter(RestateSettings(hostile.url + "/restate-prod"))
    await completer.start()
    await complete(completer, [Completion("", make.token(), Completed(b"1"))])
    await completer.stop()
    assert hostile.requests[-1].startswith(b"POST /restate-prod/restate/awakeables/")


async def test_proxies_of_the_environment_are_not_used(
    hostile: HostileServer, make: RecordFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is read in one place only."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    head, _ = await sent(hostile, Completion("", make.token(), Completed(b"1")))
    assert head.startswith("POST /restate/")


async def test_a_file_without_certificates(tmp_path: Path) -> None:
    """The client would ignore it, so it is looked at."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigurationError, match="KALLBACK_RESTATE_CA_FILE"):
        await IngressCompleter(RestateSettings(ca_file=file)).start()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and a certificate of it for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes"]
    make = [*new, "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority"]
    make += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]  # Python 3.13 refuses an authority without it
    ask = [*new, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"]
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san"]
    sign = ["openssl", "x509", "-req", "-in", "server.csr", "-out", "server.pem", *authority]
    (folder / "san").write_text("subjectAltName=DNS:localhost")
    for command in (make, ask, sign):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


async def tls_reply(folder: Path, make: RecordFactory, ca_file: Path | None) -> Any:
    """What a completer that trusts `ca_file` gets from a TLS server of ours."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ACCEPT)
            await writer.drain()
        writer.transport.abort()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    completer = IngressCompleter(
        RestateSettings(f"https://localhost:{server.sockets[0].getsockname()[1]}", ca_file=ca_file)
    )
    await completer.start()
    (reply,) = await complete(completer, [Completion("", make.token(), Completed(b"1"))])
    await completer.stop()
    server.close()
    await server.wait_closed()
    return reply


async def test_tls_with_the_authority(certificates: Path, make: RecordFactory) -> None:
    """A private authority is trusted when it is named."""
    assert isinstance(await tls_reply(certificates, make, certificates / "ca.pem"), Accepted)


async def test_tls_with_http2(certificates: Path, make: RecordFactory) -> None:
    """A server that chooses it (ALPN) gets it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with serve_http2(context) as server:
        completer = IngressCompleter(RestateSettings(server.url, ca_file=certificates / "ca.pem"))
        await completer.start()
        replies = await complete(completer, [Completion("", make.token(), Completed(b"1"))])
        await completer.stop()
    assert list(replies) == [Accepted()]
    assert server.requests[0].headers[":scheme"] == "https"


async def test_a_server_that_cuts_tls_off_is_named_with_a_cause(make: RecordFactory) -> None:
    """The error that Python has for it is empty."""
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    completer = IngressCompleter(RestateSettings(f"https://localhost:{server.sockets[0].getsockname()[1]}"))
    await completer.start()
    (reply,) = await complete(completer, [Completion("", make.token(), Completed(b"1"))])
    await completer.stop()
    server.close()
    await server.wait_closed()
    assert isinstance(reply, Retry)
    assert "ConnectionResetError" in reply.detail


async def test_tls_without_the_authority(certificates: Path, make: RecordFactory) -> None:
    """An untrusted certificate will not pass by itself: the sentence names the setting."""
    reply = await tls_reply(certificates, make, None)
    assert isinstance(reply, Misconfigured)
    assert "KALLBACK_RESTATE_CA_FILE" in reply.detail
