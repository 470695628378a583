"""What a file means: a running process uses what it holds now. What cannot be used is logged, and the last is kept."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.watch import watch
from kallback.settings.logs import named_log

if TYPE_CHECKING:
    from collections.abc import Callable

    from kallback.settings.files.secret_file import SecretFile

T = TypeVar("T")

_log: Final = named_log("kallback.settings")


class Followed(Generic[T]):
    """What was read from a file. Any thread may ask.

    Args:
        secret: the file.
        read: returns the meaning of the file's text; raises a ConfigurationError for a text that cannot be used.
        changed: called with each later meaning.

    Raises:
        ConfigurationError: what the file holds cannot be used.
    """

    __slots__ = ("__weakref__", "_changed", "_lock", "_meaning", "_read", "_secret", "_text")

    def __init__(
        self, secret: SecretFile, read: Callable[[str], T], changed: Callable[[T], None] = lambda _: None
    ) -> None:
        self._secret: Final = secret
        self._read: Final = read
        self._changed: Final = changed
        self._lock: Final = threading.Lock()
        self._text = secret.reveal()
        self._meaning = read(self._text)
        watch(self)

    def now(self) -> T:
        """What the file held a second ago, or now."""
        if self._secret.reveal() is not self._text:
            with self._lock:  # whoever comes while the new text is read waits for it, and calls no token unknown
                self._follow(self._secret.reveal())
        return self._meaning

    def newest(self) -> T:
        """What the file holds now, whenever it was looked at last."""
        self._secret.look()
        return self.now()

    def look(self) -> None:
        """Follow the file if it has changed."""
        self.now()

    @property
    def source(self) -> SecretFile:
        """The file: equal while it is the same one, whatever it holds."""
        return self._secret

    def _follow(self, text: str) -> None:
        if text is self._text:
            return
        try:
            self._meaning = self._read(text)
        except ConfigurationError as error:
            _log.error(
                "a file changed and cannot be used, what it held before is kept",
                setting=self._secret.setting,
                reason=str(error),
            )
        else:
            self._changed(self._meaning)
        self._text = text  # last: it tells other threads that the meaning is that of this text
