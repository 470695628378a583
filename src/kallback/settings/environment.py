"""Typed reading of one environment: each bad value is an error that names its variable and the remedy."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.followed import Followed
from kallback.settings.files.followed_values import FollowedValues
from kallback.settings.files.secret_file import SecretFile, warn_if_exposed
from kallback.settings.secret import HiddenValues, Secret
from kallback.settings.variables import SECRET_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")

_MAX_DIGITS = 18
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Environment:
    """Reads variables; an empty one counts as not set, as compose files pass unset variables on as empty."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str) -> str:
        """Return the text, without surrounding white space."""
        return self.optional(name) or default

    def optional(self, name: str) -> str | None:
        """Return the text, or None when it is not set."""
        text = self._readable(name).strip()
        if not text.isprintable():
            raise ConfigurationError(f"{name} has control characters or line ends in it: set it again without them")
        return text or None

    def names(self, name: str) -> frozenset[str]:
        """Return names that are separated by commas."""
        return frozenset(part.strip() for part in (self.optional(name) or "").split(",") if part.strip())

    def secret(self, name: str) -> Secret | None:
        """Return the text hidden and unchanged: a password may begin with a space.

        `NAME_FILE` names a file that holds it, as Docker and Kubernetes mount secrets; one line end at its end is not a
        part of it, because editors and `echo` add one. It is read again when it changes.
        """
        text, path = self._readable(name), self.optional(name + SECRET_FILE)
        if text and path is not None:
            raise ConfigurationError(f"{name} and {name}{SECRET_FILE} are both set: unset one of them")
        if path is not None:
            return SecretFile(name + SECRET_FILE, path)
        return Secret(text) if text else None

    def _readable(self, name: str) -> str:
        """The text as it is; bytes that are not UTF-8 are surrogates, which no Kafka or Restate client can send."""
        text = self._variables.get(name, "")
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise ConfigurationError(f"{name} is not UTF-8: set it again, with a terminal or a file in UTF-8")
        return text

    def seconds(self, name: str, default: float) -> float:
        """Return a positive number of seconds."""
        text = self.optional(name)
        if text is None:
            return default
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (0 < number < math.inf):
            raise ConfigurationError(f"{name}={text!r} is not a time: set it to a number of seconds above 0")
        return number

    def count(self, name: str, default: int) -> int:
        """Return a positive whole number."""
        text = self.optional(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS or int(text) == 0:
            raise ConfigurationError(f"{name}={text!r} is no count: set it to a whole number above 0")
        return int(text)

    def flag(self, name: str) -> bool:
        """Return whether a switch is on."""
        text = (self.optional(name) or "0").lower()
        if text not in _TRUE | _FALSE:
            raise ConfigurationError(f"{name}={text!r} is no switch: set it to 1 or 0")
        return text in _TRUE

    def choice(self, name: str, default: E) -> E:
        """Return one member of an enum, written as its value in any case."""
        text = self.optional(name)
        if text is None:
            return default
        kind = type(default)
        try:
            return kind(text.upper())
        except ValueError:
            raise ConfigurationError(f"{name}={text!r} is not known: set it to one of {', '.join(kind)}") from None

    def file(self, name: str) -> Path | None:
        """Return the path of a file that exists."""
        text = self.optional(name)
        if text is None:
            return None
        with contextlib.suppress(OSError, RuntimeError):  # a name that is too long, a home that is not known
            path = Path(text).expanduser()
            if path.is_file():
                return path
        raise ConfigurationError(f"{name}={text!r} is no file: set it to the path of a PEM file")

    def secret_file(self, name: str) -> Path | None:
        """Return the path of a file that exists and holds a secret, such as the key of a certificate."""
        path = self.file(name)
        if path is not None:
            warn_if_exposed(name, path)
        return path

    def mapping(self, name: str, check: Callable[[Mapping[str, str]], None] = lambda _: None) -> HiddenValues:
        """Return a JSON object of texts (numbers and booleans are taken as their text), which may be secrets.

        `NAME_FILE` names a file that holds it, as with `secret`.

        Args:
            name: of the variable.
            check: raises a ConfigurationError for options that cannot be used; also asked when the file changes.
        """
        secret = self.secret(name)
        where = name + SECRET_FILE if isinstance(secret, SecretFile) else name

        def read(text: str) -> Mapping[str, str]:
            found = _json_object(where, text.strip() or "{}")
            check(found)
            return found

        if isinstance(secret, SecretFile):
            return FollowedValues(Followed(secret, read))
        return HiddenValues(read("" if secret is None else secret.reveal()))


def _json_object(name: str, text: str) -> Mapping[str, str]:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    members = cast("dict[str, object]", value) if isinstance(value, dict) else None
    if members is None or not all(isinstance(item, str | int | float) for item in members.values()):
        raise ConfigurationError(
            f"{name} is no JSON object of texts, numbers and switches: set it to something like "
            '{"socket.keepalive.enable": "true"}'
        )
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in members.items()}
