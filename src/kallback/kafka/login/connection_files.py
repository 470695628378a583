"""Notices when a file changes on which the connections of a Kafka client depend.

These are the certificate, its key and the authorities of TLS, which are renewed in place (cert-manager does that), the
password of the key, and the options of `KALLBACK_KAFKA_EXTRA_FILE`. A file that is gone changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kallback.settings.secret import hidden
from kallback.settings.secret_files import FileSignature, file_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kallback.settings import KafkaSettings

LOOK_INTERVAL_S: Final = 1.0
_State = tuple[tuple[FileSignature, ...], str, "Mapping[str, str] | None"]


class ConnectionFiles:
    """The files of one client. One thread at a time.

    Args:
        settings: of the client; it was made with what the files hold now.
        elapsed: seconds that nobody sets.
    """

    def __init__(self, settings: KafkaSettings, elapsed: Callable[[], float] = time.monotonic) -> None:
        security = settings.security
        files = (security.ca_file, security.cert_file, security.key_file)
        self._paths: Final = [str(each) for each in files if each is not None and security.protocol.uses_tls]
        self._key_password: Final = security.key_password
        self._extra: Final = hidden(settings.extra)
        self._elapsed: Final = elapsed
        self._next_look = elapsed() + LOOK_INTERVAL_S
        self._signatures: tuple[FileSignature, ...] = ()
        self._used = self._seen = self._state()
        self._digest = self._digest_of_now()

    def settled(self) -> bool:
        """Whether they have changed since this was true last, and not during the last second. Costs next to nothing.

        Several files are seldom written in the same moment: a certificate does not fit the old key. What a file holds
        counts, and not that it was touched: a `chmod` is no reason to leave a group.
        """
        if self._elapsed() < self._next_look:
            return False
        self._next_look = self._elapsed() + LOOK_INTERVAL_S
        before, self._seen = self._seen, self._state()
        if self._seen == self._used or self._seen != before:
            return False
        self._used = self._seen
        digest, self._digest = self._digest, self._digest_of_now()
        return digest != self._digest

    def changed(self) -> bool:
        """Whether they have changed since this was true last; for those who can go back to what they had."""
        self._seen = self._state()
        if self._seen == self._used:
            return False
        self._used = self._seen
        return True

    def _digest_of_now(self) -> bytes:
        found = hashlib.sha256(repr(self._used[1:]).encode())
        for each in self._paths:
            with contextlib.suppress(OSError):  # whoever makes the client says so
                found.update(hashlib.sha256(Path(each).read_bytes()).digest())
        return found.digest()

    def _state(self) -> _State:
        found = tuple(file_signature(each) for each in self._paths)
        if all(found):
            self._signatures = found
        password = "" if self._key_password is None else self._key_password.reveal()
        return self._signatures, password, self._extra.now()
