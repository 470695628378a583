"""Where requests go: host, port, path and TLS of an address."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

from kallback.protocol import ConfigurationError
from kallback.settings import RestateSettings
from kallback.settings.addresses import bracketed
from kallback.settings.certificates import refusal_with_its_own_remedy, words_of
from kallback.settings.files.changes import FileChanges
from kallback.settings.files.followed_tls import FollowedFiles

_PATH: Final = "/%:@!$&'()*+,;=-._~"


class Origin(NamedTuple):
    """A server, and the path under which it serves.

    Attributes:
        authority: host and port as headers have them.
        tls: for HTTP/1.1; None without TLS.
        tls_for_http2: which offers HTTP/2, too.
    """

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None
    tls_for_http2: ssl.SSLContext | None


NOWHERE: Final = Origin("", 0, "", "", None, None)


def origin_of(url: str, settings: RestateSettings) -> Origin:
    """Read an address.

    Raises:
        ConfigurationError: it, or the CA file, cannot be used.
    """
    address = urlsplit(url)
    secure = address.scheme == "https"
    try:
        host = (address.hostname or "").encode("ascii" if ":" in (address.hostname or "") else "idna").decode()
        port = address.port or (443 if secure else 80)
    except ValueError:  # UnicodeError is one
        host, port = "", 0
    if not host or address.username is not None:
        raise ConfigurationError(
            f"the address of Restate at {address.netloc.rpartition('@')[2]!r} cannot be used: set "
            "KALLBACK_RESTATE_INGRESS_URL to something like http://localhost:8080, with no user or password in it "
            "(a token belongs into KALLBACK_RESTATE_AUTH_TOKEN)"
        )
    shown = bracketed(host)
    authority = shown if address.port is None else f"{shown}:{port}"
    path = quote(address.path, safe=_PATH).rstrip("/")
    if secure:
        return Origin(host, port, path, authority, *_tls(settings))
    if settings.ca_file is not None:
        _context(settings, ())  # a file that cannot be used is a mistake all the same
    return Origin(host, port, path, authority, None, None)


def _tls(settings: RestateSettings) -> Sequence[ssl.SSLContext]:
    """For HTTP/1.1, and for HTTP/2, too."""
    makes = [partial(_context, settings, protocols) for protocols in (["http/1.1"], ["h2", "http/1.1"])]
    if settings.ca_file is None:
        return [make() for make in makes]
    return FollowedFiles(makes, FileChanges([settings.ca_file])).contexts


def _context(settings: RestateSettings, protocols: Sequence[str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"{settings.ca_file} holds no certificates ({error.strerror or error}): set KALLBACK_RESTATE_CA_FILE to a "
            "PEM file"
        ) from None
    context.set_alpn_protocols(list(protocols))
    return context


def untrusted(address: str, error: ssl.SSLCertVerificationError) -> ConfigurationError:
    """Return the error for a certificate that is refused."""
    certificate = f"the certificate of {address}"
    refusal = refusal_with_its_own_remedy(
        error,
        "server",
        certificate=certificate,
        ca_variable="KALLBACK_RESTATE_CA_FILE",
        address_variable="the address (KALLBACK_RESTATE_INGRESS_URL or KALLBACK_RESTATE_ADMIN_URL)",
    )
    return ConfigurationError(
        refusal
        or f"{certificate} is not trusted ({words_of(error)}): set KALLBACK_RESTATE_CA_FILE to the PEM file of the "
        "authority that signed it"
    )
