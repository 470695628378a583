"""The options of commands that serve HTTP: where they listen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from kallback.cli.help import option_of

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

LOOPBACK: Final = "127.0.0.1"
_HIGHEST_PORT: Final = 65535
_http = option_of("HTTP")


def listening_options(port: int, remark: str, *, lowest_port: int = 0) -> Callable[[Decorated], Decorated]:
    """Add `--port` and `--host`.

    Args:
        port: the default.
        remark: what the help of `--host` says of its dangers.
        lowest_port: 0 lets the system choose one; 1 where nobody would learn which.
    """

    def add(command: Decorated) -> Decorated:
        by_host = _http(
            "--host",
            default=LOOPBACK,
            show_default=True,
            callback=_read_host,
            metavar="ADDRESS",
            help=f"Address to listen on. {remark}",
        )
        by_port = _http(
            "--port",
            default=port,
            show_default=True,
            type=click.IntRange(lowest_port, _HIGHEST_PORT),
            metavar="PORT",
            help="Port to listen on.",
        )
        return by_port(by_host(command))

    return add


def _read_host(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        value.encode("idna")
    except UnicodeError:
        raise click.BadParameter(f"{value!r} is neither an address nor a host name", ctx, param) from None
    return value
