"""The directory in which `kallback dev --data` keeps the data of its servers, its ports and its signing key.

One process at a time uses it: it holds a lock that ends with it, however it ends. The file `state.json` says with which
versions the data was written; it is there before the data is, so that nothing else is ever taken for such a directory.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kallback.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

_STATE: Final = "state.json"
_LOCK: Final = "lock"
_EXPORTS: Final = "env"
_OWNER_ONLY: Final = 0o600


class KeptState(msgspec.Struct, frozen=True):
    """What is kept beside the servers' own data.

    Attributes:
        versions: of the servers that wrote the data, by their names.
        ports: on which they listened, by the names of their options.
        keys: the signing key, as KALLBACK_KEYS; tokens of tasks that are pending were signed with it.
    """

    versions: dict[str, str]
    ports: dict[str, int]
    keys: str


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory that this process has for itself.

    Attributes:
        path: absolute.
        state: of the former run; None in the first one.
    """

    path: Path
    state: KeptState | None

    def keep(self, state: KeptState) -> None:
        """Write what the next run needs to know."""
        _write(self.path / _STATE, msgspec.json.encode(state))

    def write_exports(self, lines: list[str]) -> Path:
        """Write what other terminals export, and return the file, which a shell reads with `source`."""
        path = self.path / _EXPORTS
        _write(path, "".join(f"{line}\n" for line in lines).encode())
        return path


@contextmanager
def data_directory(path: Path, versions: Mapping[str, str]) -> Generator[DataDirectory]:
    """Open a directory, made at its first use, for this process alone.

    Args:
        path: of the directory.
        versions: of the servers that will go on with the data, by their names.

    Raises:
        ConfigurationError: it is in use, has other files in it, or its data is of a later version.
    """
    whole = path.resolve()
    try:
        whole.mkdir(parents=True, exist_ok=True)
        state = _read(whole)
        with _locked(whole):
            check_versions(whole, state, versions)
            yield DataDirectory(whole, state)
    except OSError as error:
        if error.filename is None or not Path(os.fsdecode(error.filename)).is_relative_to(whole):
            raise
        raise ConfigurationError(f"--data {path} cannot be used ({error.strerror}): name another directory") from None


def check_versions(path: Path, state: KeptState | None, versions: Mapping[str, str]) -> None:
    """Check that no server is older than the one that wrote its data.

    Raises:
        ConfigurationError: one is.
    """
    for name, written, now in _changes(state, versions):
        if _numbers(now) < _numbers(written):
            raise ConfigurationError(
                f"{path} has data of {name} {written}, which {name} {now} cannot read: install what wrote it, or begin "
                "anew with another directory"
            )


def upgrades(state: KeptState | None, versions: Mapping[str, str]) -> list[str]:
    """Say which servers are later than those that wrote the data."""
    return [
        f"The data is of {name} {written}, {name} {now} goes on." for name, written, now in _changes(state, versions)
    ]


def _changes(state: KeptState | None, versions: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, now in versions.items():
        written = state.versions.get(name, now) if state is not None else now
        if written != now:
            yield name, written, now


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def _read(path: Path) -> KeptState | None:
    file = path / _STATE
    if not file.exists():
        there = sorted(each.name for each in path.iterdir() if each.name not in {_LOCK, ".gitignore"})
        if there:
            raise ConfigurationError(f"{path} is not empty ({there[0]}), and has no data of kallback dev: name another")
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=KeptState)
    except msgspec.MsgspecError:
        raise ConfigurationError(f"{file} cannot be read: begin anew with another directory") from None


@contextmanager
def _locked(path: Path) -> Generator[None]:
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{path} is in use by another kallback dev (process {lock.read().strip()}): stop it, or name another "
                "directory"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        (path / ".gitignore").write_text("*\n")
        yield


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once; only its owner may read it, because it has the key."""
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    new.replace(path)
