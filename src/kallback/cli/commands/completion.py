"""`kallback completion SHELL`: the script with which a shell completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from kallback.cli.help import TextCommand, argument

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(cls=TextCommand)
@argument("shell", type=click.Choice(list(_SHELLS)), metavar="bash|zsh|fish", help="Your shell.")
def completion(shell: str) -> None:
    """Print a shell completion script.

    Add the line for your shell to the file that it reads at its start:

        eval "$(kallback completion bash)"
        eval "$(kallback completion zsh)"
        kallback completion fish | source

    For example:

        kallback completion bash > ~/.kallback-completion
    """
    root = click.get_current_context().find_root().command
    script = _SHELLS[shell](root, {}, "kallback", "_KALLBACK_COMPLETE")
    click.echo(script.source_template % script.source_vars())
