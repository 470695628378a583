"""Asks the listeners of the bootstrap servers why they do not let a client in.

Both Kafka clients only say that a connection was closed where a certificate is missing, or where one side speaks TLS or
wants a login and the other does not. A request that is older than any login tells them apart: SaslHandshake, to which
a listener that takes logins answers with the list of its mechanisms, and another one that there is nothing to log in
to (https://kafka.apache.org/protocol#The_Messages_SaslHandshake). Nothing secret is sent.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kallback.kafka.login.refusals import (
    Listener,
    no_broker,
    refused_certificate,
    refused_client_certificate,
    wrong_listener,
)
from kallback.kafka.login.tls import context_of_now
from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from kallback.protocol.errors import KallbackError
    from kallback.settings import KafkaSettings

_TIMEOUT_S: Final = 2.0
"""Of each connection; a server that is silent for longer is not asked further."""
_ALL_S: Final = 5.0
"""After which no further server is asked."""
_SECURITY_OPTIONS: Final = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.")
"""In librdkafka's spelling; aiokafka's own has `_` in place of each point."""
_PORT: Final = 9092
_SASL_HANDSHAKE: Final = 17
_NO_LOGIN: Final = 34
"""ILLEGAL_SASL_STATE: what a listener says that takes no login."""
_CORRELATION: Final = 7
_MOST_BYTES: Final = 4096
_ALERT: Final = "ALERT"
_WEB: Final = b"HTTP"
"""How a web server's answer begins, which reads a Kafka request as a bad one."""


class _WebServerError(ValueError):
    """What answers is a web server."""


def is_security_option(option: str) -> bool:
    """Whether a further option of a Kafka client secures its connections."""
    return option.strip().lower().replace("_", ".").startswith(_SECURITY_OPTIONS)


def why_not_let_in(settings: KafkaSettings) -> KallbackError | None:
    """Ask each bootstrap server in turn; return what will not pass by itself, None for all else.

    Blocks for some seconds: call it in a thread. Nothing is asked where further options secure the connections, which
    only the Kafka client understands.
    """
    if any(map(is_security_option, settings.extra)):
        return None
    until = time.monotonic() + _ALL_S
    for server in settings.bootstrap_servers.split(","):
        host, port = _host_and_port(server)
        if not host or time.monotonic() > until:
            continue
        try:
            error = _why_not_by(host, port, settings)
        except ConfigurationError:  # a file that this client of Kafka reads, and Python does not
            return None
        if error is not None:
            return error
    return None


def _why_not_by(host: str, port: int, settings: KafkaSettings) -> KallbackError | None:
    address, uses_tls = f"{host}:{port}", settings.security.protocol.uses_tls
    try:
        found = _mechanisms_of(host, port, context_of_now(settings) if uses_tls else None)
    except ssl.SSLCertVerificationError as error:
        return refused_certificate(settings, error)
    except ssl.SSLError as error:
        if (refusal := refused_client_certificate(settings, _words(error))) is not None:
            return refusal
    except (ConnectionRefusedError, TimeoutError, socket.gaierror):
        return None
    except _WebServerError:
        return no_broker(address)
    except (OSError, ValueError, struct.error):  # it hangs up on who speaks otherwise than it does
        pass
    else:
        return wrong_listener(settings, Listener(address, uses_tls, found))
    return _of_the_other_kind(host, port, settings)


def _of_the_other_kind(host: str, port: int, settings: KafkaSettings) -> KallbackError | None:
    """Ask without TLS if the client uses it, and with it if not."""
    with_tls = not settings.security.protocol.uses_tls
    found: tuple[str, ...] | None = None
    try:
        found = _mechanisms_of(host, port, _trusting_anyone() if with_tls else None)
    except ssl.SSLError as error:
        if _ALERT not in (error.reason or ""):
            return None  # an alert shows that TLS is spoken there; a certificate may be missing
    except (OSError, ValueError, struct.error):
        return None
    return wrong_listener(settings, Listener(f"{host}:{port}", with_tls, found))


def _mechanisms_of(host: str, port: int, context: ssl.SSLContext | None) -> tuple[str, ...]:
    """Return the mechanisms that a listener takes; none: it takes no login.

    Raises:
        OSError: it does not answer, or ends the connection; also what TLS says.
        ValueError: what answers is no broker.
        struct.error: as above.
    """
    with socket.create_connection((host, port), _TIMEOUT_S) as plain:
        if context is None:
            return _ask(plain)
        with context.wrap_socket(plain, server_hostname=host) as encrypted:
            return _ask(encrypted)


def _ask(connection: socket.socket) -> tuple[str, ...]:
    no_client_id, no_mechanism = -1, 0
    body = struct.pack(">hhihh", _SASL_HANDSHAKE, 1, _CORRELATION, no_client_id, no_mechanism)
    connection.sendall(struct.pack(">i", len(body)) + body)
    first = _exactly(connection, 4)
    if first == _WEB:
        raise _WebServerError
    (size,) = struct.unpack(">i", first)
    if not 0 < size <= _MOST_BYTES:
        raise ValueError("no answer of a broker")
    return _read(_exactly(connection, size))


def _read(answer: bytes) -> tuple[str, ...]:
    correlation, code, count = struct.unpack_from(">ihi", answer)
    if correlation != _CORRELATION:
        raise ValueError("no answer of a broker")
    if code == _NO_LOGIN:
        return ()
    names, at = list[str](), 10
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        names.append(answer[at + 2 : at + 2 + length].decode())
        at += 2 + length
    if not names:
        raise ValueError("a broker that names no mechanism")
    return tuple(names)


def _exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        part = connection.recv(size - len(read))
        if not part:
            raise ConnectionResetError("the connection was closed")
        read += part
    return read


def _trusting_anyone() -> ssl.SSLContext:
    """Nothing is sent over it but the question."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _host_and_port(server: str) -> tuple[str, int]:
    """Return both; no host for what is no address."""
    text = server.strip()
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        port = parts.port
    except ValueError:
        return "", _PORT
    return parts.hostname or "", port or _PORT
