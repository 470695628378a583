"""Every environment variable, once: what `Settings.from_env` reads and `docs/settings.md` lists.

A test holds that page against this table.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "KALLBACK_"
SECRET_FILE: Final = "_FILE"  # noqa: S105 - a part of a name
"""Behind the name of a secret: the variable that names a file with the secret in it."""
_NEAR: Final = 0.85
_KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT(_.+)?)$|_PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?$")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: its name, what holds without it, and what it means (with the unit)."""

    name: str
    default: str
    meaning: str

    @property
    def is_secret(self) -> bool:
        """Whether it may also be given as the name of a file, in a variable of its own."""
        return self.meaning.endswith("(secret)")


VARIABLES: Final = (
    Variable("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", "localhost:9092", "Kafka brokers, host:port, comma-separated"),
    Variable("KALLBACK_KAFKA_CLIENT_ID", "kallback", "Name shown in the brokers' logs and quotas"),
    Variable("KALLBACK_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
    Variable(
        "KALLBACK_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI"
    ),
    Variable("KALLBACK_KAFKA_SASL_USERNAME", "", "User name, for PLAIN and SCRAM"),
    Variable("KALLBACK_KAFKA_SASL_PASSWORD", "", "Password, for PLAIN and SCRAM (secret)"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_TOKEN_URL", "", "OAUTHBEARER: address that issues access tokens"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_CLIENT_ID", "", "OAUTHBEARER: this client's id there"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_CLIENT_SECRET", "", "OAUTHBEARER: this client's secret there (secret)"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_SCOPE", "", "OAUTHBEARER: scopes to ask for, separated by spaces"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_PARAMETERS", "{}", "OAUTHBEARER: further fields of the request, JSON (secret)"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_CA_FILE", "", "OAUTHBEARER: PEM file of authorities; empty: the system's"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_ALLOW_HTTP", "0", "OAUTHBEARER, 1: http beyond this host"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_PROVIDER", "", "OAUTHBEARER: MODULE:NAME of a function that returns tokens"),
    Variable("KALLBACK_KAFKA_SASL_OAUTH_EXTENSIONS", "{}", "OAUTHBEARER: SASL extensions, a JSON object (secret)"),
    Variable("KALLBACK_KAFKA_SASL_KERBEROS_SERVICE", "kafka", "GSSAPI: first part of the brokers' principals"),
    Variable("KALLBACK_KAFKA_SSL_CA_FILE", "", "PEM file of trusted authorities; empty: the system's"),
    Variable("KALLBACK_KAFKA_SSL_CERT_FILE", "", "PEM file of the client certificate"),
    Variable("KALLBACK_KAFKA_SSL_KEY_FILE", "", "PEM file of the client certificate's key"),
    Variable("KALLBACK_KAFKA_SSL_KEY_PASSWORD", "", "Password of that key (secret)"),
    Variable("KALLBACK_KAFKA_CONNECT_TIMEOUT", "10", "Seconds until a start without an answer fails"),
    Variable("KALLBACK_KAFKA_DELIVERY_TIMEOUT", "30", "Seconds until a send without acknowledgement fails"),
    Variable("KALLBACK_KAFKA_SETUP_TIMEOUT", "60", "Seconds that a task waits for a missing topic or permission"),
    Variable("KALLBACK_KAFKA_MAX_REQUEST_BYTES", "16777216", "Bytes of the largest record tried to send"),
    Variable("KALLBACK_KAFKA_EXTRA", "{}", "Further librdkafka options, a JSON object of texts (secret)"),
    Variable("KALLBACK_RESTATE_INGRESS_URL", "http://localhost:8080", "Address of Restate's ingress"),
    Variable("KALLBACK_RESTATE_ADMIN_URL", "http://localhost:9070", "Address of Restate's admin API"),
    Variable("KALLBACK_RESTATE_AUTH_TOKEN", "", "Bearer token for a protected ingress (secret)"),
    Variable("KALLBACK_RESTATE_CA_FILE", "", "PEM file of trusted authorities; empty: the system's"),
    Variable("KALLBACK_RESTATE_CONNECT_TIMEOUT", "5", "Seconds to connect"),
    Variable("KALLBACK_RESTATE_REQUEST_TIMEOUT", "30", "Seconds for one request in all"),
    Variable("KALLBACK_RESTATE_HTTP_VERSION", "2", "2, or 1.1: HTTP/1.1 only, also for completions"),
    Variable("KALLBACK_RESTATE_OLD_SERVICE_NAMES", "0", "1: use the plain names of services, too, while upgrading"),
    Variable("KALLBACK_RESTATE_JOURNAL_VALUE_CODEC", "", "MODULE:NAME of the codec that the services' journals have"),
    Variable("KALLBACK_TOPICS_PREFIX", "kallback.", "Put before each topic name that is not given"),
    Variable("KALLBACK_TOPICS_RESULTS", "<prefix>results", "Results of workers"),
    Variable("KALLBACK_TOPICS_PROGRESS", "<prefix>progress", "Started signals and heartbeats"),
    Variable("KALLBACK_TOPICS_CONTROL", "<prefix>control", "Cancels"),
    Variable("KALLBACK_TOPICS_OUTCOMES", "<prefix>outcomes", "What became of each result record"),
    Variable("KALLBACK_TOPICS_DEAD_LETTERS", "<prefix>dead-letters", "Records that can never succeed"),
    Variable(
        "KALLBACK_TOPICS_MORE_RESULTS", "", "Further results topics, of task types that have their own, comma-separated"
    ),
    Variable("KALLBACK_TOPICS_REPLY_TO", "", "Further topics that workers may answer to, comma-separated; `name*`"),
    Variable("KALLBACK_DEAD_LETTERS_PER_SECOND", "100", "Unverified dead letters of one reason written whole a second"),
    Variable("KALLBACK_DEAD_LETTERS_BYTES_PER_HOUR", "268435456", "Bytes of unverified dead letters in any hour"),
    Variable("KALLBACK_GATEWAY_URL", "", "Address of the gateway as its clients see it; links begin with it"),
    Variable("KALLBACK_KEYS", "", "Signing keys `k2:<base64>,k1:<base64>`; the first signs (secret)"),
    Variable("KALLBACK_AUDIENCE", "<results topic>", "What tokens are bound to"),
    Variable("KALLBACK_INSECURE", "0", "1: accept the published development key"),
)
_SECRET_FILES: Final = tuple(variable.name + SECRET_FILE for variable in VARIABLES if variable.is_secret)
_KNOWN: Final = (*(variable.name for variable in VARIABLES), *_SECRET_FILES)


def is_setting(name: str) -> bool:
    """Whether a variable of the environment is a setting of kallback, or names the file that has one."""
    return name in _KNOWN


def refuse_misspelled(names: Iterable[str]) -> None:
    """Refuse a variable that is nearly one of ours, or that names a file; leave alone what resembles none.

    Raising on every unknown `KALLBACK_*` would break on Kubernetes, which puts variables such as
    `KALLBACK_SERVICE_HOST` into each container, named after the services of the namespace.

    Raises:
        ConfigurationError: naming the variable and what was probably meant.
    """
    for name in names:
        if not name.startswith(PREFIX) or name in _KNOWN or _KUBERNETES.search(name):
            continue
        near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=_NEAR)
        if near:
            raise ConfigurationError(f"{name} is no setting of kallback: did you mean {near[0]}? Rename or unset it")
        if name.endswith(SECRET_FILE):  # a secret that is expected there would be missed
            raise ConfigurationError(
                f"{name} is no setting of kallback: unset it; files with secrets are {', '.join(_SECRET_FILES)}"
            )
