"""Options in a file, as a JSON object: a running process uses what the file holds now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import ConfigurationError
from kallback.settings.logs import named_log
from kallback.settings.secret import HiddenValues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kallback.settings.secret_files import SecretFile

_log: Final = named_log("kallback.settings")


class FollowedValues(HiddenValues):
    """The options of a file. What cannot be used is logged, and the last good ones are kept. Any thread may ask.

    Args:
        name: of the setting that names the file.
        secret: the file.
        read: returns the options of a text; raises a ConfigurationError for one that cannot be used.

    Raises:
        ConfigurationError: what the file holds cannot be used.
    """

    __slots__ = ("_lock", "_name", "_read", "_secret", "_text")

    def __init__(self, name: str, secret: SecretFile, read: Callable[[str], Mapping[str, str]]) -> None:
        self._name: Final = name
        self._secret: Final = secret
        self._read: Final = read
        self._lock: Final = threading.Lock()
        self._text = secret.reveal()
        super().__init__(read(self._text))

    def now(self) -> Mapping[str, str]:
        """The options that the file had a second ago, or now."""
        if self._secret.reveal() is not self._text:
            with self._lock:
                self._follow(self._secret.reveal())
        return self._values

    @property
    def source(self) -> object:
        """The file: what it holds changes."""
        return self._secret

    def _follow(self, text: str) -> None:
        if text is self._text:
            return
        try:
            self._values = dict(self._read(text))
        except ConfigurationError as error:
            _log.error("a file with options changed, they are kept as they were", setting=self._name, reason=str(error))
        self._text = text
