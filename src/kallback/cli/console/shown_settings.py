"""The settings of a process as a page may show them: secrets, keys and credentials in addresses are hidden. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

from kallback.protocol import Keyring
from kallback.settings import Secret, Settings
from kallback.settings.addresses import is_http, shown_url

_USER: Final = re.compile(r"(?<=://)[^/@\s]*@")


def shown_settings(settings: Settings) -> list[tuple[str, str]]:
    """Return names such as `kafka.bootstrap_servers` with their values."""
    return list(_fields("", settings))


def shown_address(text: str) -> str:
    """Return a text with addresses, without the users and passwords in them."""
    return _USER.sub("***@", text)


def _fields(prefix: str, group: object) -> Iterator[tuple[str, str]]:
    if not dataclasses.is_dataclass(group):
        return
    for each in dataclasses.fields(group):
        value: object = getattr(group, each.name)
        if dataclasses.is_dataclass(value):
            yield from _fields(f"{prefix}{each.name}.", value)
        else:
            yield f"{prefix}{each.name}", _shown(value)


def _shown(value: object) -> str:
    match value:
        case None | "":
            return "not set"
        case Secret():
            return "set (hidden)"
        case Keyring():
            return f"keys {', '.join(value.key_ids)} (hidden)"
        case Mapping():
            names = sorted(map(str, cast("Mapping[object, object]", value)))
            return f"{len(names)} entries, values hidden: {', '.join(names)}" if names else "none"
        case frozenset():
            return ", ".join(sorted(map(str, cast("frozenset[object]", value)))) or "none"
        case _:
            text = shown_address(str(value))
            return shown_url(text) if is_http(text) else text
