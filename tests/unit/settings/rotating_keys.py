"""A file of signing keys that is written anew while a process runs."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from kallback.protocol import Keyring
from kallback.settings.files.followed_keyring import FollowedKeyring
from kallback.settings.files.secret_file import SecretFile


class RotatingKeys:
    """The key `k1`, and after `rotate` the key `k2` in its place.

    Attributes:
        keyring: follows the file.
        new: the keys after the rotation.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "keys"
        old, self._text = (f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}" for key_id in ("k1", "k2"))
        self._file.write_text(old)
        self.keyring = FollowedKeyring(SecretFile("KALLBACK_KEYS_FILE", self._file), insecure=False)
        self.new = Keyring.parse(self._text)

    def rotate(self) -> None:
        """Write the new key."""
        self._file.write_text(self._text)
