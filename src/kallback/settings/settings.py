"""All settings of one process, and the one function that reads the environment."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from kallback.protocol.service_names import PLAIN_NAMES, ServiceNames, service_names
from kallback.settings.dead_letters import DeadLetterSettings
from kallback.settings.environment import Environment
from kallback.settings.files.followed_keyring import FollowedKeyring, keyring_of
from kallback.settings.files.secret_file import SecretFile
from kallback.settings.gateway import GatewaySettings
from kallback.settings.kafka import KafkaSecurity, KafkaSettings, SaslMechanism, SecurityProtocol
from kallback.settings.keys import KeySettings
from kallback.settings.oauth import OAuthSettings, check_extensions, check_parameters
from kallback.settings.option_types import check_option_types
from kallback.settings.restate import RestateSettings
from kallback.settings.topics import Topics
from kallback.settings.variables import refuse_misspelled

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a process is told from outside, grouped by concern; each group says its defaults."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    restate: RestateSettings = field(default_factory=RestateSettings)
    topics: Topics = field(default_factory=Topics)
    keys: KeySettings = field(default_factory=KeySettings)
    dead_letters: DeadLetterSettings = field(default_factory=DeadLetterSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)

    def __post_init__(self) -> None:
        """Bind tokens to the results topic unless another audience is given."""
        check_option_types(self)
        if not self.keys.audience:
            object.__setattr__(self, "keys", dataclasses.replace(self.keys, audience=self.topics.results))

    @property
    def services(self) -> ServiceNames:
        """The names of kallback's own Restate services in this environment."""
        return service_names(self.keys.audience)

    @property
    def old_services(self) -> ServiceNames | None:
        """The names from before each environment had its own; None where they are not used."""
        return PLAIN_NAMES if self.restate.old_service_names and self.services != PLAIN_NAMES else None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the `KALLBACK_*` variables; the page on settings lists them.

        Args:
            environ: default: that of the process.

        Raises:
            ConfigurationError: a value that cannot be read, settings that contradict each other, or a
                variable whose name is nearly one of ours.
        """
        environ = os.environ if environ is None else environ  # no default value: `help` would show all of them
        refuse_misspelled(environ)
        env = Environment(environ)
        return cls(
            kafka=_kafka(env),
            restate=_restate(env),
            topics=_topics(env),
            keys=_keys(env),
            dead_letters=_dead_letters(env),
            gateway=GatewaySettings(env.text("KALLBACK_GATEWAY_URL", "")),
        )


def _kafka(env: Environment) -> KafkaSettings:
    base = KafkaSettings()
    return KafkaSettings(
        bootstrap_servers=env.text("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", base.bootstrap_servers),
        security=_security(env),
        client_id=env.text("KALLBACK_KAFKA_CLIENT_ID", base.client_id),
        connect_timeout=env.seconds("KALLBACK_KAFKA_CONNECT_TIMEOUT", base.connect_timeout),
        delivery_timeout=env.seconds("KALLBACK_KAFKA_DELIVERY_TIMEOUT", base.delivery_timeout),
        setup_timeout=env.seconds("KALLBACK_KAFKA_SETUP_TIMEOUT", base.setup_timeout),
        max_request_bytes=env.count("KALLBACK_KAFKA_MAX_REQUEST_BYTES", base.max_request_bytes),
        extra=env.mapping("KALLBACK_KAFKA_EXTRA"),
    )


def _security(env: Environment) -> KafkaSecurity:
    return KafkaSecurity(
        protocol=env.choice("KALLBACK_KAFKA_SECURITY_PROTOCOL", SecurityProtocol.PLAINTEXT),
        mechanism=env.choice("KALLBACK_KAFKA_SASL_MECHANISM", SaslMechanism.SCRAM_SHA_512),
        username=env.optional("KALLBACK_KAFKA_SASL_USERNAME"),
        password=env.secret("KALLBACK_KAFKA_SASL_PASSWORD"),
        oauth=_oauth(env),
        kerberos_service=env.text("KALLBACK_KAFKA_SASL_KERBEROS_SERVICE", "kafka"),
        ca_file=env.file("KALLBACK_KAFKA_SSL_CA_FILE"),
        cert_file=env.file("KALLBACK_KAFKA_SSL_CERT_FILE"),
        key_file=env.secret_file("KALLBACK_KAFKA_SSL_KEY_FILE"),
        key_password=env.secret("KALLBACK_KAFKA_SSL_KEY_PASSWORD"),
    )


def _oauth(env: Environment) -> OAuthSettings:
    return OAuthSettings(
        token_url=env.text("KALLBACK_KAFKA_SASL_OAUTH_TOKEN_URL", ""),
        client_id=env.text("KALLBACK_KAFKA_SASL_OAUTH_CLIENT_ID", ""),
        client_secret=env.secret("KALLBACK_KAFKA_SASL_OAUTH_CLIENT_SECRET"),
        scope=env.text("KALLBACK_KAFKA_SASL_OAUTH_SCOPE", ""),
        parameters=env.mapping("KALLBACK_KAFKA_SASL_OAUTH_PARAMETERS", check_parameters),
        ca_file=env.file("KALLBACK_KAFKA_SASL_OAUTH_CA_FILE"),
        allow_http=env.flag("KALLBACK_KAFKA_SASL_OAUTH_ALLOW_HTTP"),
        provider=env.text("KALLBACK_KAFKA_SASL_OAUTH_PROVIDER", ""),
        extensions=env.mapping("KALLBACK_KAFKA_SASL_OAUTH_EXTENSIONS", check_extensions),
    )


def _restate(env: Environment) -> RestateSettings:
    base = RestateSettings()
    return RestateSettings(
        ingress_url=env.text("KALLBACK_RESTATE_INGRESS_URL", base.ingress_url),
        admin_url=env.text("KALLBACK_RESTATE_ADMIN_URL", base.admin_url),
        auth_token=env.secret("KALLBACK_RESTATE_AUTH_TOKEN"),
        ca_file=env.file("KALLBACK_RESTATE_CA_FILE"),
        connect_timeout=env.seconds("KALLBACK_RESTATE_CONNECT_TIMEOUT", base.connect_timeout),
        request_timeout=env.seconds("KALLBACK_RESTATE_REQUEST_TIMEOUT", base.request_timeout),
        old_service_names=env.flag("KALLBACK_RESTATE_OLD_SERVICE_NAMES"),
        journal_value_codec=env.text("KALLBACK_RESTATE_JOURNAL_VALUE_CODEC", base.journal_value_codec),
        http_version=env.choice("KALLBACK_RESTATE_HTTP_VERSION", base.http_version),
    )


def _topics(env: Environment) -> Topics:
    return Topics(
        prefix=env.text("KALLBACK_TOPICS_PREFIX", "kallback."),
        results=env.text("KALLBACK_TOPICS_RESULTS", ""),
        progress=env.text("KALLBACK_TOPICS_PROGRESS", ""),
        control=env.text("KALLBACK_TOPICS_CONTROL", ""),
        outcomes=env.text("KALLBACK_TOPICS_OUTCOMES", ""),
        dead_letters=env.text("KALLBACK_TOPICS_DEAD_LETTERS", ""),
        reply_to=env.names("KALLBACK_TOPICS_REPLY_TO"),
        more_results=env.names("KALLBACK_TOPICS_MORE_RESULTS"),
    )


def _dead_letters(env: Environment) -> DeadLetterSettings:
    base = DeadLetterSettings()
    return DeadLetterSettings(
        per_second=env.count("KALLBACK_DEAD_LETTERS_PER_SECOND", base.per_second),
        bytes_per_hour=env.count("KALLBACK_DEAD_LETTERS_BYTES_PER_HOUR", base.bytes_per_hour),
    )


def _keys(env: Environment) -> KeySettings:
    insecure = env.flag("KALLBACK_INSECURE")
    secret = env.secret("KALLBACK_KEYS")
    text = "" if secret is None else secret.reveal().strip()
    keyring = keyring_of(text, insecure=insecure) if text else None
    if isinstance(secret, SecretFile) and text:
        keyring = FollowedKeyring(secret, insecure=insecure)
    return KeySettings(
        keyring=keyring,
        audience=env.text("KALLBACK_AUDIENCE", ""),
        insecure=insecure,
    )
