"""Files that hold secrets: how they are read, again and again, and one warning for each that others may read or write.

It is a warning and no refusal: the container may be the boundary, and a start that fails is worse than a line in the
log. Files that containers get in `/run/secrets` are readable to all users of the container by Docker's own choice.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Final

from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.changes import FileSignature, file_signature
from kallback.settings.files.watch import watch
from kallback.settings.logs import named_log
from kallback.settings.secret import Secret

_MAX_BYTES: Final = 64 * 1024
_REMEDY: Final = "set it to a file that holds the secret"
_CONTAINER_SECRETS: Final = "/run/secrets/"
_LOOK_INTERVAL_S: Final = 1.0
"""Between two looks at a file: soon enough for people, and nothing beside what a process does with a secret."""
_log: Final = named_log("kallback.settings")
_warned: Final = set[tuple[str, str]]()
"""What was said already: settings are read more than once in some processes."""


def exposure(mode: int, *, owned: bool, in_container: bool = False) -> str | None:
    """Who else may do what with a file; None if nobody that is not meant to. Pure.

    Args:
        mode: the bits of the file.
        owned: whether the file belongs to this process's user. If not, the group is how the process reads it.
        in_container: whether a container got the file as its secret.
    """
    if mode & stat.S_IWOTH:
        return "all users of the machine may write it"
    if mode & stat.S_IWGRP:
        return "its group may write it"
    if mode & stat.S_IROTH and not in_container:
        return "all users of the machine may read it"
    if mode & stat.S_IRGRP and owned and not in_container:
        return "its group may read it"
    return None


def _read(name: str, path: str | os.PathLike[str]) -> str:
    """Return what a file holds, without one line end at its end, and warn if others may read or write the file.

    Raises:
        ConfigurationError: it cannot be read, is empty or holds white space only, or is too large.
    """
    try:
        file = Path(path).expanduser()
        with file.open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        text = content.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except (OSError, RuntimeError, ValueError) as error:  # a home that is not known, bytes that are not UTF-8
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{name}={str(path)!r} cannot be read ({why}): {_REMEDY}") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip() or len(content) > _MAX_BYTES:
        what = f"has more than {_MAX_BYTES} bytes" if len(content) > _MAX_BYTES else "is empty"
        raise ConfigurationError(f"{name}={str(path)!r} {what}: {_REMEDY}")
    warn_if_exposed(name, file)
    return text


class SecretFile(Secret):
    """A secret in a file, which is read again when the file changes, so that secrets rotate without a restart.

    Whoever asks for the text looks at the file, once a second at most: at its inode, size and time of change, which
    tell of files that are written anew and of those that Kubernetes exchanges. A file that is gone, empty or unreadable
    changes nothing: the last good text is kept, a warning says so, and it is tried again. A pipe, such as a shell's
    `<(command)`, is read once, at the start: reading it again would wait for who writes it. Any thread may ask.

    Attributes:
        setting: the name of the setting that names the file.

    Args:
        name: of that setting.
        path: of the file; `~` is the home directory.

    Raises:
        ConfigurationError: it cannot be read, is empty, or is too large.
    """

    __slots__ = ("__weakref__", "_failed", "_lock", "_next_look", "_path", "_retry_at", "_seen", "setting")

    def __init__(self, name: str, path: str | os.PathLike[str]) -> None:
        self.setting: Final = name
        self._path: Final = os.path.expanduser(path)  # noqa: PTH111 - does not raise where there is no home
        self._lock: Final = threading.Lock()
        self._seen: FileSignature = file_signature(self._path)
        self._failed: FileSignature | None = None
        self._next_look = time.monotonic() + _LOOK_INTERVAL_S
        self._retry_at = 0.0
        super().__init__(_read(name, path))
        watch(self)

    def reveal(self) -> str:
        """Return the text that the file had a second ago, or now."""
        if time.monotonic() >= self._next_look:
            self.look()
        return self._text

    def look(self) -> None:
        """Look at the file now, whenever it was looked at last."""
        with self._lock:
            self._next_look = time.monotonic() + _LOOK_INTERVAL_S
            seen = file_signature(self._path)
            if seen == self._seen or (seen == self._failed and time.monotonic() < self._retry_at):
                return
            try:
                text = self._read_again(seen)
            except ConfigurationError as error:
                if seen != self._failed:
                    _log.warning(
                        "a file with a secret changed and cannot be used, the last one is kept", reason=str(error)
                    )
                self._failed = seen
                self._retry_at = time.monotonic() + _LOOK_INTERVAL_S
                return
            self._seen, self._failed = seen, None
            if text != self._text:
                self._text = text
                _log.info("a secret was read again, because its file changed", setting=self.setting)

    def _read_again(self, seen: FileSignature) -> str:
        if seen and not stat.S_ISREG(seen[0]):
            raise ConfigurationError(f"{self.setting}={self._path!r} is no file any more: {_REMEDY}")
        return _read(self.setting, self._path)

    def __eq__(self, other: object) -> bool:
        """Whether this is the same file: what it holds changes."""
        return isinstance(other, SecretFile) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)


def warn_if_exposed(name: str, path: Path) -> None:
    """Warn once if others may read or write a file with a secret; `name` is the setting that names it."""
    if os.name != "posix" or (name, str(path)) in _warned:
        return
    try:
        found, real = path.stat(), path.resolve()
    except (OSError, RuntimeError):  # who reads the file says so
        return
    owned, in_container = found.st_uid == os.geteuid(), str(real).startswith(_CONTAINER_SECRETS)
    who = exposure(found.st_mode, owned=owned, in_container=in_container)
    if who is None:
        return
    _warned.add((name, str(path)))
    remedy = f"chmod 600 {path}" if owned else f"chmod 640 {path}, with a group that only this process is in"
    _log.warning("a file with a secret is open to others", setting=name, file=str(path), reason=who, remedy=remedy)
