"""`kallback console`: one console process."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from kallback.cli.console.console import Console
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.contracts.task_types import named_task_types
from kallback.cli.help import TextCommand, option, option_of
from kallback.cli.listening import listening_options
from kallback.cli.logs import configure_logs
from kallback.cli.observing import verbose_option
from kallback.cli.runner import serve
from kallback.protocol import ConfigurationError
from kallback.settings import Settings
from kallback.settings.addresses import LOOPBACK
from kallback.settings.files.secret_file import SecretFile
from kallback.web import ServerOptions

_BOUNDS: Final = ConsoleOptions().server
_CHANGE_BYTES: Final = 1024 * 1024
_http = option_of("HTTP")


@click.command(cls=TextCommand)
@listening_options(_BOUNDS.port, "Any but the loopback needs --password-file. It has no TLS: put a proxy before it.")
@_http(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Host name in the address of the console, for example behind a proxy. Default: the loopback's names.",
)
@_http(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with the password that a browser must send, with any user name. Default: none.",
)
@option(
    "--process",
    "processes",
    multiple=True,
    metavar="[NAME=]URL",
    help="Health port of a bridge, a worker, a service or a gateway, for example http://127.0.0.1:9464; NAME is shown "
    "beside it. Can be repeated.",
)
@option(
    "--allow-changes",
    is_flag=True,
    help="Let operators complete, fail, retry and cancel tasks, and replay dead letters.",
)
@option(
    "--types",
    "type_targets",
    multiple=True,
    metavar="MODULE[:NAME,...]",
    help="Python module that declares task types, such as shared: results of these types are checked before they are "
    "sent by hand. Can be repeated.",
)
@_http(
    "--user-header",
    metavar="NAME",
    help="Header in which a trusted proxy names the user, for changes. Default: the user name of the login.",
)
@option("--mask-payloads", is_flag=True, help="Show no requests, results and details of heartbeats.")
@verbose_option
def console(  # noqa: PLR0913 - one option each
    *,
    port: int,
    host: str,
    allow_host: tuple[str, ...],
    password_file: Path | None,
    processes: tuple[str, ...],
    allow_changes: bool,
    type_targets: tuple[str, ...],
    user_header: str | None,
    mask_payloads: bool,
    verbose: bool,
) -> None:
    """Show pending tasks and dead letters in a web browser.

    Without --allow-changes the pages are read-only. They are read from Restate's introspection and from Kafka at the
    moment they are shown.

    Settings: KALLBACK_KAFKA_*, KALLBACK_RESTATE_*, KALLBACK_TOPICS_*, KALLBACK_AUDIENCE; KALLBACK_KEYS to cancel, and
    to verify tokens before a replay. docs/console.md describes the pages.

    For example:

        kallback console --port 8091
    """
    configure_logs(verbose=verbose)
    password = None if password_file is None else SecretFile("--password-file", password_file)
    if host not in LOOPBACK and password is None:
        raise ConfigurationError(
            f"--host {host} opens the console to the network: give --password-file, or keep it on the loopback"
        )
    body_bytes = _CHANGE_BYTES if allow_changes else _BOUNDS.max_body_bytes
    options = ConsoleOptions(
        server=ServerOptions(host=host, port=port, max_body_bytes=body_bytes),
        hosts=frozenset(allow_host),
        password=password,
        processes=processes,
        allow_changes=allow_changes,
        user_header=user_header,
        types=tuple(named_task_types(type_targets).values()),
        mask_payloads=mask_payloads,
    )
    serve(Console(Settings.from_env(), options))
