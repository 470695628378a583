"""Ports and settings of the programs: their own, and never those of another installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kallback.settings.variables import is_setting
from kallback.testing.servers.ports import free_ports, is_free

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class PortChooser:
    """Gives each port once.

    Args:
        reserved: ports that were asked for by number; they are given to those who ask for them.
    """

    def __init__(self, reserved: Iterable[int] = ()) -> None:
        self._given = set(reserved)

    def choose(self, wanted: int | None, usual: int) -> int:
        """Return the port that was asked for, the usual one, or a free one if that is taken or was given before."""
        if wanted is not None:
            return wanted
        port = usual
        while port in self._given or not is_free(port):
            (port,) = free_ports(1)
        self._given.add(port)
        return port


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of kallback."""
    return {name: text for name, text in environ.items() if not is_setting(name)}


def ignored_settings(environ: Mapping[str, str], given: Iterable[Mapping[str, str]]) -> str:
    """Say which settings of a terminal no program of this stack is given; empty for none."""
    used = {setting for each in given for setting in each.items()}
    names = sorted(name for name, text in environ.items() if is_setting(name) and (name, text) not in used)
    if not names:
        return ""
    return f"kallback dev does not use these settings of this terminal: {', '.join(names)}. Unset them in the others."
