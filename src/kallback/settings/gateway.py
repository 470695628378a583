"""Where clients reach the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.protocol.errors import ConfigurationError
from kallback.protocol.links import link_of
from kallback.settings.addresses import is_http


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway as its clients see it.

    Attributes:
        url: its address from outside, with the path of a proxy if there is one; services put it into links. Default
            none: there is no gateway.
    """

    url: str = ""

    def __post_init__(self) -> None:
        """Drop trailing slashes; refuse what is no http address, or has more than a path."""
        if self.url and (not is_http(self.url) or "?" in self.url or "#" in self.url):
            raise ConfigurationError(
                f"{self.url!r} is no address of a gateway: set KALLBACK_GATEWAY_URL to something like "
                "https://answers.example.com"
            )
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def link(self, token: str, form: str = "") -> str:
        """Return the link of a token, with a form that `sign_form` has made if there is one.

        Raises:
            ConfigurationError: there is no gateway.
        """
        if not self.url:
            raise ConfigurationError(
                "there is no link without a gateway: set KALLBACK_GATEWAY_URL to the address of `kallback gateway` as "
                "its clients see it"
            )
        return link_of(self.url, token, form)
