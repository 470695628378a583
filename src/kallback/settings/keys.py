"""What tokens are signed and verified with."""

from __future__ import annotations

from dataclasses import dataclass

from kallback.protocol.errors import ConfigurationError, InvalidKeyError
from kallback.protocol.tokens import Keyring
from kallback.settings.option_types import check_option_types

_MISSING = (
    'no signing key: set KALLBACK_KEYS="k1:<base64 of at least 32 random bytes>" (make one with: '
    "echo k1:$(openssl rand -base64 32)), the same for services and bridges; or, only to try things on one "
    "machine, KALLBACK_INSECURE=1 (--insecure)"
)


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Signing keys and what they are good for.

    Attributes:
        keyring: the first key signs, all verify; default none, as workers need none. Who needs one asks
            `require`, so a lost variable never opens a bridge.
        audience: what tokens are bound to; default: the results topic's name, so that a token of one
            environment is worth nothing in another.
        insecure: accept the published development key; default no.
    """

    keyring: Keyring | None = None
    audience: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuse a key that is none yet, and an audience with which tokens of two programs would differ unseen."""
        check_option_types(self)
        if self.keyring is not None and not isinstance(self.keyring, Keyring):  # pyright: ignore[reportUnnecessaryIsInstance] - from code without a type checker
            raise ConfigurationError(
                "KeySettings: keyring must be a Keyring, not "
                f"{type(self.keyring).__name__}: write Keyring.parse('k1:...'), or set KALLBACK_KEYS"
            )

    def require(self) -> Keyring:
        """Return the keyring.

        Raises:
            InvalidKeyError: there is no key and insecure mode was not asked for.
        """
        if self.keyring is not None:
            return self.keyring
        if self.insecure:
            return Keyring.insecure()
        raise InvalidKeyError(_MISSING)
