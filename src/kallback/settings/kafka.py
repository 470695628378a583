"""How to reach Kafka and prove who we are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import ConfigurationError
from kallback.settings.oauth import OAuthSettings
from kallback.settings.option_types import check_counts, check_option_types, check_seconds
from kallback.settings.secret import HiddenValues, hidden

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kallback.settings.secret import Secret

_SERVER: Final = re.compile(r"(?:\w+://)?(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:\[\]/]+)(?::(?P<port>[0-9]{1,5}))?")
_KAFKA_PORT: Final = 9092
_LAST_PORT: Final = 65_535


class SecurityProtocol(StrEnum):
    """Kafka's `security.protocol`."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self in (SecurityProtocol.SSL, SecurityProtocol.SASL_SSL)

    @property
    def uses_sasl(self) -> bool:
        """Whether the client logs in, in the way that the mechanism says."""
        return self in (SecurityProtocol.SASL_PLAINTEXT, SecurityProtocol.SASL_SSL)


class SaslMechanism(StrEnum):
    """The mechanisms that both Kafka clients speak."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"
    OAUTHBEARER = "OAUTHBEARER"
    GSSAPI = "GSSAPI"

    @property
    def uses_password(self) -> bool:
        """Whether it takes a user name and a password; the others take an access token, or a Kerberos ticket."""
        return self not in (SaslMechanism.OAUTHBEARER, SaslMechanism.GSSAPI)


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """TLS and SASL, as every Kafka client understands them.

    Attributes:
        protocol: default PLAINTEXT, as Kafka's own default.
        mechanism: SASL only; default SCRAM-SHA-512, the strongest with a password that brokers offer.
        username: PLAIN and SCRAM only; required there.
        password: PLAIN and SCRAM only; required there.
        oauth: OAUTHBEARER only; where the access token comes from.
        kerberos_service: GSSAPI only; the first part of the brokers' principals, default `kafka`, as in
            `kafka/HOST@REALM`. The ticket is that of the process's environment: a cache (`KRB5CCNAME`) or a keytab
            (`KRB5_CLIENT_KTNAME`).
        ca_file: PEM file with the authorities to trust; default: those of the operating system.
        cert_file: PEM file with this client's certificate (mutual TLS); default none.
        key_file: PEM file with the certificate's private key; default none, needed with `cert_file`.
        key_password: password of `key_file`; default none.
    """

    protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    mechanism: SaslMechanism = SaslMechanism.SCRAM_SHA_512
    username: str | None = None
    password: Secret | None = None
    oauth: OAuthSettings = field(default_factory=OAuthSettings)
    kerberos_service: str = "kafka"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = None

    def __post_init__(self) -> None:
        """Refuse halves: a user without password, a certificate without key, files without TLS."""
        check_option_types(self)
        self._refuse_half_a_login()
        if (self.cert_file is None) != (self.key_file is None):
            raise ConfigurationError(
                "a client certificate and its key go together: set both KALLBACK_KAFKA_SSL_CERT_FILE and "
                "KALLBACK_KAFKA_SSL_KEY_FILE, or neither"
            )
        if not self.protocol.uses_tls and (self.ca_file or self.cert_file):
            raise ConfigurationError(
                f"TLS files are set but the protocol is {self.protocol}: set "
                "KALLBACK_KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL"
            )

    def _refuse_half_a_login(self) -> None:
        """Refuse a login without what it needs, and what no login would use."""
        has_password = bool(self.username or self.password)
        if not self.protocol.uses_sasl:
            if has_password or self.oauth.is_set:
                raise ConfigurationError(
                    f"a SASL user, password or token is set but the protocol is {self.protocol}: set "
                    "KALLBACK_KAFKA_SECURITY_PROTOCOL to SASL_SSL (or SASL_PLAINTEXT)"
                )
            return
        if self.mechanism.uses_password and not (self.username and self.password):
            raise ConfigurationError(
                f"{self.protocol} with {self.mechanism} needs a user name and a password: set "
                "KALLBACK_KAFKA_SASL_USERNAME and KALLBACK_KAFKA_SASL_PASSWORD"
            )
        if not self.mechanism.uses_password and has_password:
            raise ConfigurationError(
                f"{self.mechanism} takes no user name and no password: unset KALLBACK_KAFKA_SASL_USERNAME and "
                "KALLBACK_KAFKA_SASL_PASSWORD, or choose another KALLBACK_KAFKA_SASL_MECHANISM"
            )
        if self.mechanism is SaslMechanism.OAUTHBEARER:
            self.oauth.require()
        elif self.oauth.is_set:
            raise ConfigurationError(
                f"an access token is set up but the mechanism is {self.mechanism}: set KALLBACK_KAFKA_SASL_MECHANISM "
                "to OAUTHBEARER, or unset the KALLBACK_KAFKA_SASL_OAUTH_* variables"
            )


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """One Kafka cluster as one process sees it.

    Attributes:
        bootstrap_servers: `host:port`, several separated by commas; default localhost:9092, Kafka's own.
        security: TLS and SASL; default none.
        client_id: shown in the brokers' logs and quotas; default `kallback`.
        connect_timeout: seconds until a start without an answer fails; default 10: a wrong address should show
            soon, a broker's restart takes about as long.
        delivery_timeout: seconds until a send without acknowledgement fails; default 30: the callers try again
            with the record at hand, so a long wait inside the client only hides the trouble.
        setup_timeout: seconds that a task waits for a topic that does not exist or a permission that is missing,
            before it is not sent; default 60: services may be deployed a little before their topics.
        max_request_bytes: the largest record the clients try to send; default 16 MiB, far above the usual
            limits of topics, so that the topic decides and not the client.
        extra: further librdkafka options, handed to the confluent client as they are (`{"socket.keepalive.enable":
            "true"}`); aiokafka does not know them and ignores them, but refuses those that secure the connection.
            Default none. Options on which kallback's guarantees rest (offsets, acknowledgements, groups) are refused.
            Their values are not in the `repr`: some are secrets.
    """

    bootstrap_servers: str = "localhost:9092"
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    client_id: str = "kallback"
    connect_timeout: float = 10.0
    delivery_timeout: float = 30.0
    setup_timeout: float = 60.0
    max_request_bytes: int = 16 * 1024 * 1024
    extra: Mapping[str, str] = field(default_factory=lambda: HiddenValues({}))

    def __post_init__(self) -> None:
        """Refuse what is no list of servers: clients would wait for it, or end in an error of their own."""
        servers = _servers_in(self.bootstrap_servers)
        wrong = [each for each in servers if not _is_server(each)]
        if wrong or not servers:
            raise ConfigurationError(
                f"{(wrong or [self.bootstrap_servers])[0]!r} is no address of a Kafka server: set "
                "KALLBACK_KAFKA_BOOTSTRAP_SERVERS to something like kafka1:9092,kafka2:9092"
            )
        check_option_types(self)
        check_seconds(self, "connect_timeout", "delivery_timeout", "setup_timeout")
        check_counts(self, "max_request_bytes")
        if not self.client_id:
            raise ConfigurationError("KafkaSettings: client_id is empty: give this client a name, such as 'kallback'")
        object.__setattr__(self, "extra", hidden(self.extra))


def _servers_in(text: object) -> list[str]:
    """Return the addresses of a list; none if it is no text."""
    return [each.strip() for each in text.split(",") if each.strip()] if isinstance(text, str) else []


def _is_server(text: str) -> bool:
    found = _SERVER.fullmatch(text) if text.isprintable() else None
    return found is not None and 0 < int(found["port"] or _KAFKA_PORT) <= _LAST_PORT
