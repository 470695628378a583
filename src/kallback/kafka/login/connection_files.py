"""Notices when a file changes on which the connections of a Kafka client depend.

These are the certificate, its key and the authorities of TLS, which are renewed in place (cert-manager does that), the
password of the key, and the options of `KALLBACK_KAFKA_EXTRA_FILE`. A file that is gone changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING, Final

from kallback.settings.files.changes import FileChanges
from kallback.settings.secret import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kallback.settings import KafkaSettings

LOOK_INTERVAL_S: Final = 1.0


def connection_files(settings: KafkaSettings) -> FileChanges:
    """Return the files of a client, with the values of files that are secrets or options."""
    security, extra = settings.security, hidden(settings.extra)

    def values() -> tuple[str, Mapping[str, str]]:
        password = "" if security.key_password is None else security.key_password.reveal()
        return password, extra.now()

    return FileChanges(_tls_files(settings), values)


class SettledConnectionFiles:
    """Whether they have changed, and not in the middle of it, for clients that have to be replaced. For one thread.

    Args:
        settings: of the client; it was made with what the files hold now.
        elapsed: seconds that nobody sets.
    """

    def __init__(self, settings: KafkaSettings, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._paths: Final = _tls_files(settings)
        self._files: Final = connection_files(settings)
        self._elapsed: Final = elapsed
        self._next_look = elapsed() + LOOK_INTERVAL_S
        self._used = self._seen = self._files.state()
        self._digest = self._digest_of_now()

    def changed(self) -> bool:
        """Whether they have changed since this was true last, and not during the last second. Costs next to nothing.

        Several files are seldom written in the same moment: a certificate does not fit the old key. What a file holds
        counts, and not that it was touched: a `chmod` is no reason to leave a group.
        """
        if self._elapsed() < self._next_look:
            return False
        self._next_look = self._elapsed() + LOOK_INTERVAL_S
        before, self._seen = self._seen, self._files.state()
        if self._seen == self._used or self._seen != before:
            return False
        self._used = self._seen
        digest, self._digest = self._digest, self._digest_of_now()
        return digest != self._digest

    @property
    def contents(self) -> tuple[tuple[Path, ...], bytes]:
        """Which files they are, and a digest of what they held when they had changed last."""
        return tuple(self._paths), self._digest

    def _digest_of_now(self) -> bytes:
        _, values = self._used
        found = hashlib.sha256(repr(values).encode())
        for each in self._paths:
            with contextlib.suppress(OSError):  # whoever makes the client says so
                found.update(hashlib.sha256(each.read_bytes()).digest())
        return found.digest()


def _tls_files(settings: KafkaSettings) -> list[Path]:
    security = settings.security
    files = (security.ca_file, security.cert_file, security.key_file)
    return [each for each in files if each is not None and security.protocol.uses_tls]
