"""What is said when a broker does not let a client in: how it was tried, and what to change. Pure.

The words that are looked for are OpenSSL's, which both clients use, and librdkafka's; tests hold them against both.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import AccessDeniedError, ConfigurationError
from kallback.settings.certificates import refusal_with_its_own_remedy, words_of
from kallback.settings.kafka import SaslMechanism, SecurityProtocol

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings

_FAILED: Final = "connecting to Kafka failed"
_CERTIFICATE_ALERT: Final = re.compile(
    r"alert[ _](bad[ _]certificate|unsupported[ _]certificate|certificate[ _]\w+|unknown[ _]ca|no[ _]certificate"
    r"|access[ _]denied|handshake[ _]failure)",
    re.IGNORECASE,
)
"""What a server says that does not take a client's certificate, or misses it (RFC 8446, 6.2)."""
_MECHANISMS: Final = re.compile(r"broker's supported mechanisms: (?P<names>[\w, -]*)")


@dataclass(frozen=True, slots=True)
class Listener:
    """What a listener of a broker speaks.

    Attributes:
        address: host and port.
        tls: connections are encrypted.
        mechanisms: of the logins that it takes; none: it takes no login. None: it did not say.
    """

    address: str
    tls: bool
    mechanisms: tuple[str, ...] | None


def refused_login(settings: KafkaSettings, text: str) -> AccessDeniedError:
    """Return the error for a login that a broker refuses; it names the mechanism and what to check.

    Args:
        settings: the login.
        text: the client's words.
    """
    security = settings.security
    if (offered := _MECHANISMS.search(text)) is not None:
        names = tuple(name.strip() for name in offered["names"].split(",") if name.strip())
        listener = Listener(f"of {settings.bootstrap_servers}", security.protocol.uses_tls, names)
        if (other := wrong_listener(settings, listener)) is not None:
            return other
    match security.mechanism:
        case SaslMechanism.OAUTHBEARER:
            who, remedy = (
                "an access token",
                (
                    "let the broker trust who issues the tokens, check the audience and scope that it expects "
                    "(KALLBACK_KAFKA_SASL_OAUTH_SCOPE, _PARAMETERS, _EXTENSIONS), and that the token had not expired: "
                    "compare the lifetime that its issuer gives, and the clocks of issuer and broker"
                ),
            )
        case SaslMechanism.GSSAPI:
            who, remedy = (
                "a Kerberos ticket",
                (
                    "check the ticket (klist, KRB5CCNAME, KRB5_CLIENT_KTNAME), and that the broker's principal is "
                    f"{security.kerberos_service}/HOST with the host name that clients connect to "
                    "(KALLBACK_KAFKA_SASL_KERBEROS_SERVICE)"
                ),
            )
        case mechanism:
            who, remedy = (
                f"user {security.username!r}",
                (
                    "check KALLBACK_KAFKA_SASL_USERNAME and _PASSWORD (or _PASSWORD_FILE), and that the broker has "
                    f"this user for that mechanism (KALLBACK_KAFKA_SASL_MECHANISM={mechanism})"
                ),
            )
    return AccessDeniedError(f"{_FAILED}: the login with {security.mechanism} as {who} was refused ({text}): {remedy}")


def missing_mechanism(settings: KafkaSettings, offered: tuple[str, ...], listener: str) -> AccessDeniedError:
    """Return the error for a listener that takes other logins."""
    wanted = settings.security.mechanism
    return AccessDeniedError(
        f"{_FAILED}: {listener} takes no login with {wanted}, only with {_either(offered)}: set "
        f"KALLBACK_KAFKA_SASL_MECHANISM to what it takes, or KALLBACK_KAFKA_BOOTSTRAP_SERVERS to a listener that takes "
        f"{wanted} (sasl.enabled.mechanisms of the broker)"
    )


def no_broker(address: str) -> ConfigurationError:
    """Return the error for an address where a web server answers, such as Restate's or that of a console."""
    return ConfigurationError(
        f"{_FAILED}: what answers at {address} is a web server and no broker: set KALLBACK_KAFKA_BOOTSTRAP_SERVERS to "
        "a listener of Kafka"
    )


def wrong_listener(settings: KafkaSettings, found: Listener) -> AccessDeniedError | None:
    """Return the error for a listener that speaks otherwise than the client was told; None: it does not."""
    protocol, mechanism = settings.security.protocol, settings.security.mechanism
    sasl = protocol.uses_sasl if found.mechanisms is None else bool(found.mechanisms)
    if (found.tls, sasl) == (protocol.uses_tls, protocol.uses_sasl):
        if found.mechanisms and protocol.uses_sasl and mechanism not in found.mechanisms:
            return missing_mechanism(settings, found.mechanisms, f"the listener {found.address}")
        return None
    speaks = "speaks TLS" if found.tls else "speaks no TLS"
    if found.mechanisms is None:
        logins, right = "", "SSL, or to SASL_SSL if it wants a login" if found.tls else "PLAINTEXT or SASL_PLAINTEXT"
    else:
        logins = f" and wants a login ({_either(found.mechanisms)})" if sasl else " and takes no login"
        right = _PROTOCOLS[found.tls, sasl].value
    also = ", and the KALLBACK_KAFKA_SASL_* login" if found.mechanisms and not protocol.uses_sasl else ""
    return AccessDeniedError(
        f"{_FAILED}: the listener {found.address} {speaks}{logins}, and KALLBACK_KAFKA_SECURITY_PROTOCOL is "
        f"{protocol}: set it to {right}{also}, or KALLBACK_KAFKA_BOOTSTRAP_SERVERS to another listener"
    )


_PROTOCOLS: Final = {(each.uses_tls, each.uses_sasl): each for each in SecurityProtocol}


def refused_client_certificate(settings: KafkaSettings, text: str) -> AccessDeniedError | None:
    """Return the error for a broker that does not take this client's certificate; None: the words say another thing.

    Args:
        settings: name the certificate.
        text: the client's words, or OpenSSL's.
    """
    if _CERTIFICATE_ALERT.search(text) is None:
        return None
    cert_file = settings.security.cert_file
    if cert_file is None:
        return AccessDeniedError(
            f"{_FAILED}: the broker wants a client certificate, and there is none ({text}): set "
            "KALLBACK_KAFKA_SSL_CERT_FILE and KALLBACK_KAFKA_SSL_KEY_FILE"
        )
    return AccessDeniedError(
        f"{_FAILED}: the broker refuses the client certificate {cert_file} ({text}): check that it has not expired and "
        "that an authority which the broker trusts has issued it, with its intermediate certificates in the file "
        "(KALLBACK_KAFKA_SSL_CERT_FILE, KALLBACK_KAFKA_SSL_KEY_FILE)"
    )


def refused_tls(settings: KafkaSettings, text: str) -> AccessDeniedError:
    """Return the error for a connection that TLS ends, by OpenSSL's words."""
    if (refusal := refused_client_certificate(settings, text)) is not None:
        return refusal
    if "certificate" in text.lower():
        return distrusted_broker(settings, text)
    return AccessDeniedError(
        f"{_FAILED} ({text}): check that this listener speaks TLS (KALLBACK_KAFKA_SECURITY_PROTOCOL is "
        f"{settings.security.protocol}), and the KALLBACK_KAFKA_SSL_* files"
    )


def distrusted_broker(settings: KafkaSettings, text: str) -> AccessDeniedError:
    """Return the error for a broker whose certificate this client does not trust."""
    ca_file = settings.security.ca_file
    trusted = "the authorities of the operating system" if ca_file is None else str(ca_file)
    return AccessDeniedError(
        f"{_FAILED}: the broker's certificate is not trusted ({text}): set KALLBACK_KAFKA_SSL_CA_FILE to the authority "
        f"that issued it (now {trusted}), and KALLBACK_KAFKA_BOOTSTRAP_SERVERS to a name that is in the certificate"
    )


def refused_certificate(settings: KafkaSettings, error: ssl.SSLCertVerificationError) -> AccessDeniedError:
    """Return the error for a broker's certificate that Python does not trust."""
    refusal = refusal_with_its_own_remedy(
        error,
        "broker",
        certificate="the broker's certificate",
        ca_variable="KALLBACK_KAFKA_SSL_CA_FILE",
        address_variable="KALLBACK_KAFKA_BOOTSTRAP_SERVERS",
    )
    if refusal is None:
        return distrusted_broker(settings, words_of(error))
    return AccessDeniedError(f"{_FAILED}: {refusal}")


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "none that it names"
