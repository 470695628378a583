"""TLS of aiokafka's connections: each new one uses what the files of certificate, key and authorities hold now."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from kallback.kafka.login.connection_files import connection_files
from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.followed_tls import FollowedFiles
from kallback.settings.secret import hidden

if TYPE_CHECKING:
    from pathlib import Path

    from kallback.settings import KafkaSettings

_NO_PASSWORD: Final = ""
"""Of a key that needs one; without any, OpenSSL would ask for it on the terminal, and the event loop would wait."""

_OTHER_KEY: Final = "KEY_VALUES_MISMATCH"
"""OpenSSL's word."""

_contexts: Final[dict[object, ssl.SSLContext]] = {}
"""By the files; of one event loop's thread, as aiokafka is."""


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return the context of the clients with these settings: they share it, so a change of a file is logged once.

    Raises:
        ConfigurationError: a file cannot be read, or the key does not fit.
    """
    security = settings.security
    files = (security.ca_file, security.cert_file, security.key_file, security.key_password)
    key = (*files, hidden(settings.extra).source)
    if key not in _contexts:
        followed = FollowedFiles([lambda: context_of_now(settings)], connection_files(settings))
        _contexts[key] = followed.contexts[0]
    return _contexts[key]


def context_of_now(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context of what the files hold now.

    Raises:
        ConfigurationError: a file cannot be read, or the key does not fit.
    """
    security = settings.security
    password = None if security.key_password is None else security.key_password.reveal()
    return _context(security.ca_file, security.cert_file, security.key_file, password)


def check_tls_files(ca_file: str | None, cert_file: str | None, key_file: str | None, key_password: str | None) -> None:
    """Look whether the files can be used.

    Raises:
        ConfigurationError: they cannot; the sentence says which one, and why.
    """
    _context(ca_file, cert_file, key_file, key_password)


def _context(
    ca_file: str | Path | None, cert_file: str | Path | None, key_file: str | Path | None, key_password: str | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"KALLBACK_KAFKA_SSL_CA_FILE={ca_file} cannot be used ({error}): set it to a file with the certificates of "
            "the authorities, in PEM format"
        ) from None
    if cert_file is not None:
        _add_certificate(context, cert_file, key_file, key_password)
    return context


def _add_certificate(
    context: ssl.SSLContext, cert_file: str | Path, key_file: str | Path | None, key_password: str | None
) -> None:
    is_encrypted = False

    def password() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return _NO_PASSWORD if key_password is None else key_password

    try:
        context.load_cert_chain(cert_file, key_file, password)
    except (OSError, ssl.SSLError, ValueError) as error:  # ValueError: the password has more than 1,024 bytes
        key = f"KALLBACK_KAFKA_SSL_KEY_FILE={key_file}"
        if _OTHER_KEY in str(error):
            why = f"{key} has not the key of the certificate in KALLBACK_KAFKA_SSL_CERT_FILE={cert_file}"
            raise ConfigurationError(f"{why}: set both to the files of one certificate") from None
        if is_encrypted and key_password is None:
            raise ConfigurationError(f"{key} is encrypted: set KALLBACK_KAFKA_SSL_KEY_PASSWORD") from None
        if is_encrypted:
            why = f"{key} cannot be decrypted ({error})"
            raise ConfigurationError(f"{why}: set KALLBACK_KAFKA_SSL_KEY_PASSWORD to its password") from None
        raise ConfigurationError(
            f"KALLBACK_KAFKA_SSL_CERT_FILE={cert_file} or {key} cannot be used ({error}): both must be readable files "
            "in PEM format"
        ) from None
