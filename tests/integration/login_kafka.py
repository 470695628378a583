"""A Kafka that lets in who has an access token or a password, for two seconds each time, and a token endpoint.

The broker checks tokens as in production: signature (against the endpoint's published keys), issuer, audience, expiry.
"""

from __future__ import annotations

import base64
import json
import math
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import pytest
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from kallback.settings import KafkaSecurity, KafkaSettings, OAuthSettings, SaslMechanism, Secret, SecurityProtocol
from kallback.testing.servers.ports import free_ports
from kallback.testing.stack import KafkaOptions, start_kafka
from kallback.testing.topics import TopicFactory

CLIENT, SECRET = "kitchen", "s3cret & more+"
AUDIENCE, SCOPE = "kafka", "produce consume"
SESSION_S = 2.0
"""After so long the broker wants a login anew, on connections that are there, too."""


@dataclass
class TokenServer:
    """A token endpoint (RFC 6749, 4.4) with the keys that its tokens are signed with (RFC 7517).

    Attributes:
        lifetime: seconds of the tokens.
        told: seconds that whoever gets a token is told; None: the truth.
        issued: when each token was issued.
        down: hang up without an answer.
        audience: of the tokens.
    """

    folder: Path
    lifetime: float = 600.0
    told: float | None = None
    issued: list[float] = field(default_factory=list[float])
    down: bool = False
    audience: str = AUDIENCE
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Generator[TokenServer]:
        """Make a key, and answer."""
        self.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem")
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(200, endpoint.keys())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if endpoint.down:
                    self.close_connection = True
                    return
                self.reply(*endpoint.answer(self.headers["Authorization"], parse_qs(body)))

            def reply(self, status: int, answer: dict[str, Any]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002 - as its base
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.port = server.server_port
            threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
            yield self
            server.shutdown()

    def answer(self, authorization: str, fields: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """What a request gets."""
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (unquote_plus(name), unquote_plus(secret)) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client", "error_description": f"no such client with {secret}"}
        assert fields["grant_type"] == ["client_credentials"]
        self.issued.append(time.time())
        token = self.token(fields.get("scope", [""])[0])
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.told or self.lifetime}

    def token(self, scope: str) -> str:
        """A signed JWT (RFC 7519)."""
        now = time.time()
        claims = {"iss": self.url, "aud": self.audience, "sub": CLIENT, "scope": scope, "iat": int(now)}
        parts = ({"alg": "RS256", "kid": "one"}, claims | {"exp": math.ceil(now + self.lifetime)})
        signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{encoded(self.openssl('dgst', '-sha256', '-sign', 'key.pem', given=signed.encode()))}"

    def keys(self) -> dict[str, Any]:
        """The public key as a set of JSON web keys."""
        said = self.openssl("rsa", "-in", "key.pem", "-modulus", "-noout").decode()
        modulus = bytes.fromhex(said.strip().removeprefix("Modulus="))
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one"}
        return {"keys": [key | {"n": encoded(modulus), "e": encoded(b"\x01\x00\x01")}]}

    def openssl(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run openssl in the folder; what it wrote."""
        return subprocess.run(
            ["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, input=given
        ).stdout


def encoded(value: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass(frozen=True)
class LoginKafka:
    """The broker, reached with a token or without one, and the token endpoint."""

    endpoint: TokenServer
    ours: KafkaSettings
    address: str
    scram_address: str
    topics: TopicFactory

    def password(self, password: Secret) -> KafkaSettings:
        """Log in with a password."""
        security = KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            mechanism=SaslMechanism.SCRAM_SHA_256,
            username=CLIENT,
            password=password,
        )
        return KafkaSettings(self.scram_address, security, connect_timeout=30.0)

    def change_password(self, password: str) -> None:
        """Let the user in with this password only."""
        admin = AdminClient({"bootstrap.servers": self.ours.bootstrap_servers, "log_level": 0})
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        wanted = UserScramCredentialUpsertion(CLIENT, info, password.encode())
        for future in admin.alter_user_scram_credentials([wanted]).values():
            future.result(10)

    def settings(
        self, *, secret: str | Secret = SECRET, url: str = "", seconds: float = 30.0, **oauth: Any
    ) -> KafkaSettings:
        """Log in with a token."""
        source: dict[str, Any] = {
            "token_url": url or f"{self.endpoint.url}/token",
            "client_id": CLIENT,
            "client_secret": secret if isinstance(secret, Secret) else Secret(secret),
            "scope": SCOPE,
        }
        security = KafkaSecurity(
            protocol=SecurityProtocol.SASL_PLAINTEXT,
            mechanism=SaslMechanism.OAUTHBEARER,
            oauth=OAuthSettings(**(oauth if "provider" in oauth else source | oauth)),
        )
        return KafkaSettings(self.address, security, connect_timeout=seconds)


@contextmanager
def login_kafka(folder: Path) -> Generator[LoginKafka]:
    """Start both."""
    plain, controller, login, scram = free_ports(4)
    with TokenServer(folder).serving() as endpoint, pytest.MonkeyPatch.context() as patch:
        allowed = "org.apache.kafka.sasl.oauthbearer.allowed.urls"  # Kafka 4.0 and later ask no other address
        patch.setenv("JDK_JAVA_OPTIONS", f"-D{allowed}={endpoint.url}/keys")
        options = KafkaOptions(port=plain, properties=properties((plain, controller, login, scram), endpoint.url))
        with start_kafka(options) as server:
            yield LoginKafka(
                endpoint,
                KafkaSettings(server.bootstrap_servers),
                f"127.0.0.1:{login}",
                f"127.0.0.1:{scram}",
                TopicFactory(server),
            )


def properties(ports: tuple[int, ...], issuer: str) -> dict[str, str]:
    """The broker's listeners, and whose tokens count."""
    names = ("PLAINTEXT", "CONTROLLER", "LOGIN", "SCRAM")
    module, listener = "org.apache.kafka.common.security.oauthbearer", "listener.name.login"
    scram = "listener.name.scram"
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)),
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT,SCRAM:SASL_PLAINTEXT"
        ),
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports[1]}",
        "inter.broker.listener.name": "PLAINTEXT",
        f"{scram}.sasl.enabled.mechanisms": "SCRAM-SHA-256",
        f"{scram}.scram-sha-256.connections.max.reauth.ms": str(int(SESSION_S * 1000)),
        f"{scram}.scram-sha-256.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        f"{listener}.sasl.enabled.mechanisms": "OAUTHBEARER",
        f"{listener}.oauthbearer.connections.max.reauth.ms": str(int(SESSION_S * 1000)),
        f"{listener}.oauthbearer.sasl.jaas.config": f"{module}.OAuthBearerLoginModule required;",
        f"{listener}.oauthbearer.sasl.server.callback.handler.class": f"{module}.OAuthBearerValidatorCallbackHandler",
        f"{listener}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": f"{issuer}/keys",
        f"{listener}.oauthbearer.sasl.oauthbearer.expected.issuer": issuer,
        f"{listener}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        f"{listener}.oauthbearer.sasl.oauthbearer.clock.skew.seconds": "0",  # a token ends when it says so
    }
