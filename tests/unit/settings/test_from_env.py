"""The environment becomes settings, or a sentence that says which variable to change."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kallback.protocol.errors import ConfigurationError, InvalidKeyError
from kallback.settings import VARIABLES, SaslMechanism, Secret, SecurityProtocol, Settings, Topics
from kallback.settings.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "k1:" + base64.b64encode(hashlib.sha256(b"a key of these tests").digest()).decode()
DOCS = Path(__file__).parents[3] / "docs" / "settings.md"


class Recorder(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None, /) -> Any:
        """Note the name; nothing is set."""
        self.asked.add(key)
        return default

    def __iter__(self) -> Iterator[str]:
        return iter(())


def test_an_empty_environment_means_the_defaults() -> None:
    """Without variables everything is on this machine, and there are no keys."""
    assert Settings.from_env({}) == Settings()
    assert Settings().kafka.bootstrap_servers == "localhost:9092"


def test_the_table_of_variables_is_what_is_read() -> None:
    """Each variable that is read is in the table, and each of the table is read."""
    recorder = Recorder()
    Settings.from_env(recorder)
    files = {f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret}
    assert recorder.asked == {variable.name for variable in VARIABLES} | files


def test_the_page_lists_each_variable_as_it_is() -> None:
    """docs/settings.md says name, default and meaning exactly as the code."""
    page = DOCS.read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `KALLBACK_")]
    assert rows == [
        f"| `{each.name}` | {f'`{each.default}`' if each.default else '(none)'} | {each.meaning} |"
        for each in VARIABLES
    ]


def test_every_default_of_the_table_is_the_one_in_force() -> None:
    """Writing the documented defaults into the environment changes nothing."""
    written = {each.name: each.default for each in VARIABLES if "<" not in each.default}
    assert Settings.from_env(written) == Settings.from_env({})


def test_tls_and_sasl_are_read() -> None:
    """Protocol, mechanism, user and password reach the settings; the password stays hidden."""
    settings = Settings.from_env(
        {
            "KALLBACK_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "KALLBACK_KAFKA_SASL_MECHANISM": "PLAIN",
            "KALLBACK_KAFKA_SASL_USERNAME": "me",
            "KALLBACK_KAFKA_SASL_PASSWORD": "hush",
            "KALLBACK_KAFKA_EXTRA": '{"socket.keepalive.enable": true}',
        }
    )
    security = settings.kafka.security
    assert (security.protocol, security.mechanism) == (SecurityProtocol.SASL_SSL, SaslMechanism.PLAIN)
    assert security.password == Secret("hush")
    assert settings.kafka.extra == {"socket.keepalive.enable": "true"}
    assert "hush" not in repr(settings)


def test_the_audience_is_the_results_topic_unless_given() -> None:
    """Tokens of one environment are worth nothing in another."""
    assert Settings.from_env({"KALLBACK_TOPICS_PREFIX": "test."}).keys.audience == "test.results"
    assert Settings.from_env({"KALLBACK_AUDIENCE": "us"}).keys.audience == "us"


def test_a_link_is_the_address_of_the_gateway_and_a_token() -> None:
    """With the path of a proxy, and without a second slash."""
    settings = Settings.from_env({"KALLBACK_GATEWAY_URL": "https://example.com/answers/"})
    assert settings.gateway.link("kb1:x") == "https://example.com/answers/v1/kb1:x"


def test_without_a_gateway_there_is_no_link() -> None:
    """The sentence names the variable."""
    with pytest.raises(ConfigurationError, match="KALLBACK_GATEWAY_URL"):
        Settings().gateway.link("kb1:x")


@pytest.mark.parametrize(
    "url", ["example.com", "ftp://example.com", "https://example.com/?a=", "https://example.com/#a"]
)
def test_what_is_no_address_of_a_gateway_is_refused(url: str) -> None:
    """A link is that address and a path behind it."""
    with pytest.raises(ConfigurationError, match="KALLBACK_GATEWAY_URL"):
        Settings.from_env({"KALLBACK_GATEWAY_URL": url})


def test_keys_are_parsed_and_hidden() -> None:
    """The keyring holds the keys by id and shows only the ids."""
    settings = Settings.from_env({"KALLBACK_KEYS": KEY})
    assert settings.keys.require().key_ids == ("k1",)
    assert KEY[3:] not in repr(settings)


def test_without_keys_nothing_that_needs_one_starts() -> None:
    """A lost variable is an error with its remedy, not an open bridge."""
    with pytest.raises(InvalidKeyError, match="KALLBACK_KEYS"):
        Settings.from_env({"KALLBACK_KEYS": ""}).keys.require()


def test_insecure_mode_is_asked_for_by_name() -> None:
    """Only KALLBACK_INSECURE=1 brings the published key."""
    assert Settings.from_env({"KALLBACK_INSECURE": "1"}).keys.require().key_ids == ("dev",)
    both = Settings.from_env({"KALLBACK_INSECURE": "yes", "KALLBACK_KEYS": KEY})
    assert both.keys.require().key_ids == ("k1", "dev")


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("KALLBACK_KAFKA_CONNECT_TIMEOUT", "soon", "number of seconds"),
        ("KALLBACK_KAFKA_CONNECT_TIMEOUT", "-1", "number of seconds"),
        ("KALLBACK_KAFKA_CONNECT_TIMEOUT", "inf", "number of seconds"),
        ("KALLBACK_KAFKA_MAX_REQUEST_BYTES", "1e6", "whole number"),
        ("KALLBACK_KAFKA_SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SSL"),
        ("KALLBACK_KAFKA_EXTRA", "[1]", "JSON object"),
        ("KALLBACK_KAFKA_EXTRA", "{", "JSON object"),
        ("KALLBACK_RESTATE_CA_FILE", "/no/such/file", "PEM file"),
        ("KALLBACK_RESTATE_INGRESS_URL", "localhost:8080", "http://localhost:8080"),
        ("KALLBACK_INSECURE", "maybe", "1 or 0"),
        ("KALLBACK_TOPICS_PREFIX", "a b", "letters"),
        ("KALLBACK_TOPICS_RESULTS", "kallback.control", "same name"),
        ("KALLBACK_KAFKA_SASL_USERNAME", "me", "KALLBACK_KAFKA_SECURITY_PROTOCOL"),
        ("KALLBACK_KEYS", "k1:short", "KALLBACK_KEYS"),
    ],
)
def test_a_bad_value_is_an_error_with_its_remedy(name: str, value: str, remedy: str) -> None:
    """Each unreadable value stops the process with a sentence that says what to write."""
    with pytest.raises(ConfigurationError, match=remedy):
        Settings.from_env({name: value})


@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_sasl_without_password_is_refused(protocol: str) -> None:
    """A user name and a password go with SASL."""
    with pytest.raises(ConfigurationError, match="KALLBACK_KAFKA_SASL_PASSWORD"):
        Settings.from_env({"KALLBACK_KAFKA_SECURITY_PROTOCOL": protocol, "KALLBACK_KAFKA_SASL_USERNAME": "me"})


def test_half_a_client_certificate_is_refused(tmp_path: Path) -> None:
    """A certificate without its key is of no use."""
    certificate = tmp_path / "me.pem"
    certificate.touch()
    with pytest.raises(ConfigurationError, match="KALLBACK_KAFKA_SSL_KEY_FILE"):
        Settings.from_env({"KALLBACK_KAFKA_SECURITY_PROTOCOL": "SSL", "KALLBACK_KAFKA_SSL_CERT_FILE": str(certificate)})


def test_tls_files_without_tls_are_refused(tmp_path: Path) -> None:
    """A CA file with PLAINTEXT would silently encrypt nothing."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    with pytest.raises(ConfigurationError, match="SSL or SASL_SSL"):
        Settings.from_env({"KALLBACK_KAFKA_SSL_CA_FILE": str(authority)})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KALLBACK_KEY", "KALLBACK_KEYS"),
        ("KALLBACK_KAFKA_BOOTSTRAP_SERVER", "KALLBACK_KAFKA_BOOTSTRAP_SERVERS"),
        ("KALLBACK_RESTATE_URL", "KALLBACK_RESTATE_"),
    ],
)
def test_a_misspelled_variable_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    """A typo must not be a setting that silently has no effect."""
    with pytest.raises(ConfigurationError, match=rf"{name} is no setting.*did you mean {meant}"):
        Settings.from_env({name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "KALLBACK_SERVICE_HOST",
        "KALLBACK_KAFKA_PORT_9092_TCP_ADDR",
        "KALLBACK_KAFKA_PORT",
        "KALLBACK_REQUIRE_SERVERS",
        "PATH",
    ],
)
def test_variables_of_others_are_left_alone(name: str) -> None:
    """Kubernetes and test tools use the prefix too."""
    assert Settings.from_env({name: "x"}) == Settings()


def test_a_file_that_exists_is_read_as_its_path(tmp_path: Path) -> None:
    """Paths of PEM files reach the settings."""
    authority = tmp_path / "ca.pem"
    authority.touch()
    assert Settings.from_env({"KALLBACK_RESTATE_CA_FILE": str(authority)}).restate.ca_file == authority


def test_numbers_are_read() -> None:
    """Seconds and counts reach the settings."""
    env = Environment({"A": " 1.5 ", "B": "7"})
    assert (env.seconds("A", 1), env.count("B", 1)) == (1.5, 7)


def test_topics_take_their_own_names_before_the_prefix() -> None:
    """A name that is given stands as it is; the others follow the prefix."""
    topics = Topics(prefix="x.", results="answers")
    assert topics.all() == ("answers", "x.progress", "x.control", "x.outcomes", "x.dead-letters")


def test_addresses_lose_their_trailing_slash() -> None:
    """Paths are appended to addresses: one slash is enough."""
    assert Settings.from_env({"KALLBACK_RESTATE_ADMIN_URL": "http://r:1/"}).restate.admin_url == "http://r:1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", ",,,"),
        ("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", "a:b:c"),
        ("KALLBACK_KAFKA_BOOTSTRAP_SERVERS", "good:9092,bad:99999"),
        ("KALLBACK_KAFKA_EXTRA", "[" * 100_000),
        ("KALLBACK_KAFKA_EXTRA", '{"a": {"b": 1}}'),
        ("KALLBACK_KAFKA_EXTRA", '{"a": null}'),
        ("KALLBACK_KAFKA_SSL_CA_FILE", "~nobody-of-this-name/ca.pem"),
        ("KALLBACK_KAFKA_SSL_CA_FILE", "x" * 5_000),
        ("KALLBACK_RESTATE_INGRESS_URL", "http://[::1"),
        ("KALLBACK_RESTATE_INGRESS_URL", "http://x:99999"),
        ("KALLBACK_RESTATE_ADMIN_URL", "http://x/\r\nHost: y"),
        ("KALLBACK_DEAD_LETTERS_PER_SECOND", "9" * 5_000),
        ("KALLBACK_TOPICS_REPLY_TO", "orders.replies,*x"),
        ("KALLBACK_TOPICS_MORE_RESULTS", "orders.results,orders results"),
        ("KALLBACK_TOPICS_MORE_RESULTS", "kallback.results"),
        ("KALLBACK_AUDIENCE", "\udcff"),
        ("KALLBACK_AUDIENCE", "orders\nresults"),
        ("KALLBACK_KAFKA_CLIENT_ID", "orders\0"),
        ("KALLBACK_KAFKA_SASL_PASSWORD", "\udcff"),
    ],
)
def test_a_value_that_cannot_work_is_refused_where_it_is_read(name: str, value: str) -> None:
    """The sentence names its variable; no client, and no number of Python's, says something of its own."""
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_env({name: value})


@pytest.mark.parametrize(
    "servers", ["kafka:9092", "a, b:1", "[::1]:9092", "SASL_SSL://kafka.example.com:9092", "10.0.0.1"]
)
def test_addresses_of_kafka_are_taken_as_its_clients_take_them(servers: str) -> None:
    """With a port or without, with a protocol before them, of version 6 in brackets."""
    assert Settings.from_env({"KALLBACK_KAFKA_BOOTSTRAP_SERVERS": servers}).kafka.bootstrap_servers == servers
