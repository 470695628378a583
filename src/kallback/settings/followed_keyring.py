"""Signing keys in a file: a running process signs and verifies with what the file holds now.

Ownership: a process has one such keyring, which all its parts share; any thread may use it. A daemon thread looks at
the file as well, so that an idle process says, too, that it has the new keys: who rotates keys waits for that line. It
ends with the keyring.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import InvalidKeyError
from kallback.protocol.outcomes import Unverified
from kallback.protocol.tokens import Keyring, UnverifiedToken
from kallback.settings.key_strength import refuse_weak_keys
from kallback.settings.logs import named_log

if TYPE_CHECKING:
    from kallback.protocol.tokens import Token
    from kallback.settings.secret_files import SecretFile

_log: Final = named_log("kallback.settings")
_WATCH_INTERVAL_S: Final = 0.5
"""Between two looks of an idle process."""


def keyring_of(text: str, *, insecure: bool) -> Keyring:
    """Read the text of `KALLBACK_KEYS`.

    Raises:
        InvalidKeyError: a key is unreadable, short or no secret.
    """
    keyring = Keyring.parse(text, insecure=insecure)
    refuse_weak_keys(text)
    return keyring


class FollowedKeyring(Keyring):
    """The keys of a file. What cannot be used is logged, and the last good keys are kept.

    A token of an unknown key is reason enough to look at the file at once: a service may have the new key a moment
    before its bridge has looked.

    Args:
        secret: the file.
        insecure: as in `Keyring.parse`.

    Raises:
        InvalidKeyError: a key is unreadable, short or no secret.
    """

    __slots__ = ("__weakref__", "_insecure", "_keyring", "_lock", "_secret", "_text")

    def __init__(self, secret: SecretFile, *, insecure: bool) -> None:
        self._secret: Final = secret
        self._insecure: Final = insecure
        self._lock: Final = threading.Lock()
        self._text = secret.reveal()
        self._keyring = keyring_of(self._text.strip(), insecure=insecure)
        watched = weakref.ref(self)
        threading.Thread(target=_watch, args=(watched,), name="kallback-keys", daemon=True).start()

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids, the signing one first."""
        return self._now().key_ids

    def each(self) -> tuple[Keyring, ...]:
        """A keyring of each key alone, the signing one first."""
        return self._now().each()

    def sign(self, token: Token, audience: str) -> str:
        """The token's text, signed with the first key of now."""
        return self._now().sign(token, audience)

    def check(self, text: str, audience: str) -> Token | UnverifiedToken:
        """Verify a token without raising."""
        keyring = self._now()
        found = keyring.check(text, audience)
        if isinstance(found, UnverifiedToken) and found.reason is Unverified.UNKNOWN_KEY:
            newest = self._newest()
            return found if newest is keyring else newest.check(text, audience)
        return found

    def derive(self, key_id: str, purpose: str) -> bytes | None:
        """32 bytes for another purpose than tokens; None for an unknown key."""
        found = self._now().derive(key_id, purpose)
        return self._newest().derive(key_id, purpose) if found is None else found

    def look(self) -> None:
        """Take the keys that the file has now; without a change nothing happens."""
        self._now()

    def __repr__(self) -> str:
        return repr(self._keyring)

    def _newest(self) -> Keyring:
        self._secret.look()
        return self._now()

    def _now(self) -> Keyring:
        if self._secret.reveal() is not self._text:
            with self._lock:  # whoever comes while the new keys are read waits for them, and calls no token unknown
                self._follow(self._secret.reveal())
        return self._keyring

    def _follow(self, text: str) -> None:
        if text is self._text:
            return
        try:
            self._keyring = keyring_of(text.strip(), insecure=self._insecure)
        except InvalidKeyError as error:
            _log.error("the file of KALLBACK_KEYS_FILE changed, its keys are kept as they were", reason=str(error))
        else:
            _log.info("signing keys were read again", key_ids=list(self._keyring.key_ids))
        self._text = text  # last: it tells other threads that the keys are those of this text


def _watch(watched: weakref.ref[FollowedKeyring]) -> None:
    """Look at the file again and again, until nothing uses the keyring."""
    while True:
        time.sleep(_WATCH_INTERVAL_S)
        keyring = watched()
        if keyring is None:
            return
        keyring.look()
        del keyring  # or it would be in use until the next look
