"""The command and its subcommands.

A subcommand's module is imported when that subcommand is asked for, so that `kallback worker` runs where only the
workers' extra is installed, and a missing extra ends in the command to type instead of a traceback.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final, cast

import click

from kallback.protocol.errors import ConfigurationError, KallbackError

_COMMANDS: Final = {
    "bridge": ("kallback.cli.commands.bridge:bridge", "Complete awakeables with the results that workers send."),
    "complete": ("kallback.cli.commands.complete:complete", "Complete a task by hand."),
    "dead-letters": ("kallback.cli.dead_letters.commands:dead_letters", "List, show and replay records that died."),
    "dev": ("kallback.cli.commands.dev:dev", "Start a Kafka and a Restate to try things on."),
    "fail": ("kallback.cli.commands.fail:fail", "Fail a task by hand."),
    "service": ("kallback.cli.commands.service:service", "Serve a Restate application: MODULE:NAME of a restate.app."),
    "tasks": ("kallback.cli.commands.tasks:tasks", "Say how tasks stand that are under way."),
    "token": ("kallback.cli.commands.token:token", "Say what a token says."),
    "topics": ("kallback.cli.commands.topics:topics", "Create the topics that kallback needs."),
    "version": ("kallback.cli.commands.version:version", "Show the versions of kallback and of what it runs on."),
    "worker": ("kallback.cli.commands.worker:worker", "Run a worker: MODULE:NAME of a kallback.workers.Worker."),
}

EXIT_CONFIGURATION: Final = 2
EXIT_FAILURE: Final = 1


class _LazyGroup(click.Group):
    """Knows the subcommands' names and sentences without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in sorted(_COMMANDS)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def app() -> None:
    """Durable request/reply over Kafka for Restate handlers.

    A Restate handler asks for work with one line; any Kafka consumer does it; the bridge turns the results topic
    into completed awakeables; the handler resumes with a typed result or a typed error.

    To try it: `kallback dev` in one terminal, then follow what it prints.
    Settings come from environment variables KALLBACK_*; docs/settings.md lists them.
    """


def main() -> None:
    """Run the command; an error of ours is one sentence on stderr, never a traceback."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # MODULE:NAME is looked for where the user stands, as `python -m` does
    try:
        app()
    except ConfigurationError as error:
        _end(error, EXIT_CONFIGURATION)
    except KallbackError as error:
        _end(error, EXIT_FAILURE)


def _end(error: KallbackError, code: int) -> None:
    click.echo(f"kallback: {error}", err=True)
    sys.exit(code)
