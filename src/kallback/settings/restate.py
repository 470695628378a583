"""How to reach Restate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from kallback.protocol.errors import ConfigurationError
from kallback.settings.addresses import is_http
from kallback.settings.option_types import check_option_types, check_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from kallback.settings.secret import Secret


class HttpVersion(StrEnum):
    """How the bridge speaks to Restate's ingress."""

    HTTP_1_1 = "1.1"
    """HTTP/1.1 only."""
    HTTP_2 = "2"
    """HTTP/2 for completions, and HTTP/1.1 where the ingress, or a proxy before it, does not speak it."""


@dataclass(frozen=True, slots=True)
class RestateSettings:
    """One Restate cluster as the bridge and the commands see it.

    Attributes:
        ingress_url: where completions are posted; default http://localhost:8080, Restate's own.
        admin_url: where the version is asked and services are registered; default http://localhost:9070.
        auth_token: bearer token for a protected ingress (Restate Cloud); default none.
        ca_file: PEM file with the authorities to trust for https; default: those of the operating system.
        connect_timeout: seconds to connect; default 5: Restate answers in milliseconds or is unavailable.
        request_timeout: seconds for one request in all; default 30: a completion waits for Restate's log,
            which takes seconds while a partition changes its leader.
        old_service_names: use the names `NotifierService`, `TaskMonitor` and `ConsumedMarks` beside those of this
            environment. Default no; yes only during an upgrade from a version that had no others, and in one
            environment of a Restate at a time.
        journal_value_codec: MODULE:NAME of the codec of the services' journals: the object that they pass to
            `callbacks.app`. Default none: they have no codec.
        http_version: the newest version of HTTP that the bridge speaks to the ingress. Default 2: a completion costs
            less CPU. 1.1 is for a proxy that says it speaks HTTP/2 and does it badly.
    """

    ingress_url: str = "http://localhost:8080"
    admin_url: str = "http://localhost:9070"
    auth_token: Secret | None = None
    ca_file: Path | None = None
    connect_timeout: float = 5.0
    request_timeout: float = 30.0
    old_service_names: bool = False
    journal_value_codec: str = ""
    http_version: HttpVersion = HttpVersion.HTTP_2

    def __post_init__(self) -> None:
        """Drop trailing slashes; refuse what is no http address."""
        for name in ("ingress_url", "admin_url"):
            url: str = getattr(self, name)
            if not is_http(url):
                raise ConfigurationError(
                    f"{url!r} is no address of Restate: set KALLBACK_RESTATE_{name.upper()} to something "
                    "like http://localhost:8080"
                )
            object.__setattr__(self, name, url.rstrip("/"))
        check_option_types(self)
        check_seconds(self, "connect_timeout", "request_timeout")
