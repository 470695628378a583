"""The console and the gateway of `kallback dev`, each as a process of its own."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kallback.settings.variables import is_setting
from kallback.testing.errors import ServerStartError
from kallback.testing.servers.ports import accepts, free_ports, is_free
from kallback.testing.servers.processes import ChildProcess, make_tree, remove_tree, with_kept_log

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from kallback.testing.software.progress import DownloadProgress


def chosen_port(wanted: int | None, usual: int, *, besides: int | None) -> int:
    """Return the port that was asked for, the usual one, or a free one if that is taken or is `besides`."""
    return wanted or (usual if usual != besides and is_free(usual) else free_ports(1)[0])


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the settings of kallback."""
    return {name: text for name, text in environ.items() if not is_setting(name)}


def ignored_settings(environ: Mapping[str, str], own: Mapping[str, str]) -> str:
    """Say which settings of a terminal contradict those of this stack; empty for none."""
    names = sorted(name for name, text in environ.items() if is_setting(name) and own.get(name) != text)
    if not names:
        return ""
    return f"kallback dev does not use these settings of this terminal: {', '.join(names)}. Unset them in the others."


@contextmanager
def running(
    command: str, port: int, *options: str, env: Mapping[str, str], progress: DownloadProgress
) -> Generator[str | None]:
    """Run `kallback COMMAND` on a port of the loopback; yields its address, or None if it does not start.

    Args:
        command: `console` or `gateway`.
        port: free.
        options: of the command.
        env: its settings. Those of the terminal are of another installation.
        progress: told why it does not start.
    """
    directory = make_tree(command)
    line = [sys.executable, "-m", "kallback.cli", command, "--port", str(port), *options]
    child = ChildProcess(
        f"The {command}", line, log=directory / f"{command}.log", env={**without_settings(os.environ), **env}
    )
    try:
        child.start()
        url: str | None = f"http://127.0.0.1:{port}"
        try:
            child.wait_ready(lambda: accepts(port))
        except ServerStartError as error:
            progress.say(str(with_kept_log(error)))
            url = None
        yield url
    finally:
        child.kill()
        remove_tree(directory)
