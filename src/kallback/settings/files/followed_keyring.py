"""Signing keys in a file: a running process signs and verifies with what the file holds now.

Ownership: a process has one such keyring, which all its parts share; any thread may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol.outcomes import Unverified
from kallback.protocol.tokens import Keyring, UnverifiedToken
from kallback.settings.files.followed import Followed
from kallback.settings.key_strength import refuse_weak_keys
from kallback.settings.logs import named_log

if TYPE_CHECKING:
    from kallback.protocol.tokens import Token
    from kallback.settings.files.secret_file import SecretFile

_log: Final = named_log("kallback.settings")


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

    __slots__ = ("_followed",)

    def __init__(self, secret: SecretFile, *, insecure: bool) -> None:
        self._followed: Final = Followed(
            secret, lambda text: keyring_of(text.strip(), insecure=insecure), changed=_say_ids
        )

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids, the signing one first."""
        return self._followed.now().key_ids

    def each(self) -> tuple[Keyring, ...]:
        """A keyring of each key alone, the signing one first."""
        return self._followed.now().each()

    def sign(self, token: Token, audience: str) -> str:
        """The token's text, signed with the first key of now."""
        return self._followed.now().sign(token, audience)

    def check(self, text: str, audience: str) -> Token | UnverifiedToken:
        """Verify a token without raising."""
        keyring = self._followed.now()
        found = keyring.check(text, audience)
        if isinstance(found, UnverifiedToken) and found.reason is Unverified.UNKNOWN_KEY:
            newest = self._followed.newest()
            return found if newest is keyring else newest.check(text, audience)
        return found

    def derive(self, key_id: str, purpose: str) -> bytes | None:
        """32 bytes for another purpose than tokens; None for an unknown key."""
        found = self._followed.now().derive(key_id, purpose)
        return self._followed.newest().derive(key_id, purpose) if found is None else found

    def __repr__(self) -> str:
        return repr(self._followed.now())


def _say_ids(keyring: Keyring) -> None:
    _log.info("signing keys were read again", key_ids=list(keyring.key_ids))
