"""TLS of aiokafka's connections: each new one uses what the files of certificate, key and authorities hold now."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from kallback.kafka.login.connection_files import connection_files
from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.followed_tls import FollowedFiles
from kallback.settings.secret import hidden

if TYPE_CHECKING:
    from kallback.settings import KafkaSettings

_NO_PASSWORD: Final = ""
"""Of a key that needs one; without any, OpenSSL would ask for it on the terminal, and the event loop would wait."""

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
    password = security.key_password.reveal() if security.key_password is not None else _NO_PASSWORD
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.cert_file is not None:
            context.load_cert_chain(security.cert_file, security.key_file, password)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"a TLS file cannot be read ({error}): check KALLBACK_KAFKA_SSL_CA_FILE, _CERT_FILE, _KEY_FILE and "
            "_KEY_PASSWORD"
        ) from None
    return context
