"""Where a Kafka client gets its access token from (SASL/OAUTHBEARER)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kallback.protocol.errors import ConfigurationError
from kallback.settings.addresses import LOOPBACK, is_http, shown_url
from kallback.settings.option_types import check_option_types
from kallback.settings.secret import HiddenValues, hidden

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kallback.settings.secret import Secret

_VARIABLES: Final = "KALLBACK_KAFKA_SASL_OAUTH_"
_EXTENSION_NAME: Final = re.compile(r"[A-Za-z]+")
_EXTENSION_VALUE: Final = re.compile(r"[\x21-\x7e \t\r\n]*")
_OWN_PARAMETERS: Final = frozenset({"grant_type", "scope", "client_id", "client_secret"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings:
    """Either a token endpoint, asked with client credentials (RFC 6749, 4.4), or a function that returns tokens.

    Attributes:
        token_url: address of the token endpoint; https, unless it is on this host. Not in the `repr`: see `shown_url`.
        client_id: this client's id there.
        client_secret: this client's secret there.
        scope: scopes to ask for, separated by spaces; default none: what the server gives.
        parameters: further fields of the request, such as the `audience` that some servers want. Not in the `repr`.
        ca_file: PEM file with the authorities to trust for https; default: those of the operating system.
        allow_http: send id and secret unencrypted to a host that is not this one. Default no.
        provider: MODULE:NAME of a function without parameters, which returns a token and when it expires (epoch
            seconds), in place of an endpoint.
        extensions: SASL extensions sent with the token (RFC 7628, 3.1), which hosted Kafkas want. Not in the `repr`.
    """

    token_url: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: Secret | None = None
    scope: str = ""
    parameters: Mapping[str, str] = field(default_factory=lambda: HiddenValues({}))
    ca_file: Path | None = None
    allow_http: bool = False
    provider: str = ""
    extensions: Mapping[str, str] = field(default_factory=lambda: HiddenValues({}))

    def __post_init__(self) -> None:
        """Refuse addresses and names that cannot work; hide values that may be secrets."""
        check_option_types(self)
        object.__setattr__(self, "parameters", hidden(self.parameters))
        object.__setattr__(self, "extensions", hidden(self.extensions))
        if self.token_url:
            self._check_url()
        check_parameters(self.parameters)
        check_extensions(self.extensions)

    @property
    def shown_url(self) -> str:
        """The address of the token endpoint without its query, for sentences."""
        return shown_url(self.token_url)

    @property
    def is_set(self) -> bool:
        """Whether anything says where tokens come from."""
        return bool(self.token_url or self.client_id or self.client_secret or self.provider)

    def require(self) -> None:
        """Check that there is one source of tokens.

        Raises:
            ConfigurationError: there is none, half of one, or two.
        """
        if self.provider and (self.token_url or self.client_id or self.client_secret):
            raise ConfigurationError(
                f"a token provider and a token endpoint are both set: unset {_VARIABLES}PROVIDER, or the token URL, "
                "client id and secret"
            )
        if not self.provider and not (self.token_url and self.client_id and self.client_secret):
            raise ConfigurationError(
                f"OAUTHBEARER needs access tokens: set {_VARIABLES}TOKEN_URL, _CLIENT_ID and _CLIENT_SECRET (or "
                f"_CLIENT_SECRET_FILE), or {_VARIABLES}PROVIDER to the MODULE:NAME of a function that returns them"
            )

    def _check_url(self) -> None:
        if not is_http(self.token_url) or urlsplit(self.token_url).username is not None:
            raise ConfigurationError(
                f"{_VARIABLES}TOKEN_URL is no address of a token endpoint: set it to something like "
                "https://login.example.com/oauth2/token, without user or password in it"
            )
        parts = urlsplit(self.token_url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.allow_http:
            raise ConfigurationError(
                f"{_VARIABLES}TOKEN_URL={self.shown_url!r} would send the client's secret unencrypted: use https, or "
                f"set {_VARIABLES}ALLOW_HTTP=1 where the network is trusted"
            )


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Refuse further fields of a token request that kallback sends itself.

    Raises:
        ConfigurationError: naming one.
    """
    if own := _OWN_PARAMETERS & set(parameters):
        raise ConfigurationError(
            f"{_VARIABLES}PARAMETERS may not have {min(own)}: kallback sends it; use {_VARIABLES}CLIENT_ID, "
            "_CLIENT_SECRET and _SCOPE"
        )


def check_extensions(extensions: Mapping[str, str]) -> None:
    """Refuse what is no SASL extension.

    Raises:
        ConfigurationError: naming one.
    """
    for name, value in extensions.items():
        if name == "auth" or not _EXTENSION_NAME.fullmatch(name) or not _EXTENSION_VALUE.fullmatch(value):
            raise ConfigurationError(
                f"{_VARIABLES}EXTENSIONS has {name!r}, which is no SASL extension: names have letters only, are "
                "not 'auth', and values are printable ASCII"
            )
