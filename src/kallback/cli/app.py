"""The command and its subcommands.

A subcommand's module is imported when that subcommand is asked for, so that `kallback worker` runs where only the
workers' extra is installed, and a missing extra ends in the command to type instead of a traceback. This module itself
imports nothing but click, so that help is fast.
"""

from __future__ import annotations

import atexit
import errno
import importlib
import os
import signal
import sys
from contextlib import nullcontext
from typing import Final, NamedTuple, NoReturn, cast

import click
from click.shell_completion import CompletionItem

from kallback.cli.help import TextGroup

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class _CommandEntry(NamedTuple):
    """One subcommand.

    Attributes:
        target: module and name, below `kallback.cli`.
        extra: what it cannot run without; empty if any installation will do.
        summary: one line of help.
    """

    target: str
    extra: str
    summary: str


_SECTIONS: Final = {
    "Run": {
        "bridge": _CommandEntry(
            "commands.bridge:bridge", "bridge", "Run a bridge: complete awakeables with task results."
        ),
        "worker": _CommandEntry("commands.worker:worker", "workers", "Run a worker process."),
        "gateway": _CommandEntry("commands.gateway:gateway", "gateway", "Run a gateway: take task results over HTTP."),
        "service": _CommandEntry("commands.service:service", "service", "Serve a Restate application."),
        "new": _CommandEntry("commands.new:new", "", "Write a new project: service, worker, tests, Compose file."),
        "dev": _CommandEntry("commands.dev:dev", "", "Start a local Kafka and Restate for development."),
    },
    "Operate": {
        "topics": _CommandEntry("commands.topics:topics", "", "Create and check Kafka topics."),
        "tasks": _CommandEntry(
            "tasks.commands:tasks", "bridge", "List pending tasks; complete, fail, retry or cancel them."
        ),
        "outcomes": _CommandEntry("commands.outcomes:outcomes", "bridge", "Show what became of results."),
        "workers": _CommandEntry("commands.workers:workers", "bridge", "Show who reads the topics of tasks."),
        "doctor": _CommandEntry("commands.doctor:doctor", "bridge", "Say why tasks do not end."),
        "complete": _CommandEntry("commands.by_hand:complete", "bridge", "Complete a task by its token."),
        "fail": _CommandEntry("commands.by_hand:fail", "bridge", "Fail a task by its token."),
        "console": _CommandEntry(
            "commands.console:console", "console", "Show pending tasks and dead letters in a web browser."
        ),
        "dead-letters": _CommandEntry(
            "dead_letters.commands:dead_letters", "", "List, inspect and replay dead letters."
        ),
        "contract": _CommandEntry(
            "contracts.commands:contract", "", "Export, compare and check contracts of task types."
        ),
        "wire": _CommandEntry("commands.wire:wire", "bridge", "Check a worker in any language against the wire."),
        "token": _CommandEntry("commands.token:token", "", "Decode and verify tokens."),
    },
    "About": {
        "completion": _CommandEntry("commands.completion:completion", "", "Print a shell completion script."),
        "version": _CommandEntry("commands.version:version", "", "Show the installed versions."),
    },
}
_COMMANDS: Final = {name: entry for section in _SECTIONS.values() for name, entry in section.items()}

_COMPLETING: Final = "_KALLBACK_COMPLETE"
"""Set by the shell's completion script."""
EXIT_CONFIGURATION: Final = 2
EXIT_FAILURE: Final = 1
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
EXIT_INSTANCE_ID_TAKEN: Final = 3
"""The one end after which a supervisor must not start the process again."""


class _LazyGroup(TextGroup):
    """Knows the subcommands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the subcommands."""
        del ctx
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        return load_command(_COMMANDS[cmd_name])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the subcommands in sections."""
        del ctx
        width = max(map(len, _COMMANDS))
        for section, entries in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:<{width}}", entry.summary) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names that begin so, and the options."""
        names = [
            CompletionItem(name, help=entry.summary) for name, entry in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def load_command(entry: _CommandEntry) -> click.Command:
    """Import a subcommand.

    Raises:
        MissingExtraError: a package that it needs is not installed.
    """
    from kallback.cli.imports import needs_extra  # noqa: PLC0415 - the list of commands needs no error tree

    module, _, name = entry.target.partition(":")
    with needs_extra(entry.extra) if entry.extra else nullcontext():
        return cast("click.Command", getattr(importlib.import_module(f"kallback.cli.{module}"), name))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def app() -> None:
    """Durable request/reply over Kafka for Restate handlers.

    A Restate handler sends a task to Kafka. A worker does it and sends the result back. The bridge reads the result
    and completes the awakeable that the handler waits on.

    To try it, type `kallback dev --example` in an empty folder.

    Settings are environment variables that begin with KALLBACK_. docs/settings.md lists them.
    """


def main() -> None:
    """Run the command; an error of kallback's is one sentence on stderr, never a traceback."""
    try:
        _run()
    except SystemExit as end:
        keep_exit_code(end.code)
        raise


def keep_exit_code(code: object) -> None:
    """Let a signal end the process at once, with the code that it ends with anyway.

    asyncio takes its handlers away when its loop closes, and the interpreter takes a while to end. A second SIGTERM or
    Ctrl-C in that time would make the end of a bridge that has drained and committed look like a crash.

    Args:
        code: of `SystemExit`.
    """
    number = code if isinstance(code, int) else int(code is not None)

    def end_at_once(*_: object) -> None:
        os._exit(number)

    for each in _SIGNALS:
        signal.signal(each, end_at_once)
    atexit.register(_ignore_signals)  # the interpreter takes Python's handlers away after that


def _ignore_signals() -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _run() -> None:
    try:
        app(prog_name="kallback", complete_var=_COMPLETING)
    except Exception as error:
        from kallback.cli.formatting import plain  # noqa: PLC0415 - help without errors is faster
        from kallback.protocol.errors import KallbackError  # noqa: PLC0415

        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            click.echo(f"kallback: cannot write ({error.strerror}): free space, or write elsewhere", err=True)
            _leave_output()
        if not isinstance(error, KallbackError):
            raise
        if _COMPLETING in os.environ:
            sys.exit(EXIT_FAILURE)  # a sentence would be written into the line that the user types
        if trace := getattr(error, "trace", ""):
            click.echo(plain(trace.rstrip(), lines=True), err=True)
        click.echo(f"kallback: {plain(str(error), lines=getattr(error, 'has_log_lines', False))}", err=True)
        click.echo(f"  help: {error.help}", err=True)
        sys.exit(_exit_code(error))


def _leave_output() -> NoReturn:
    """End without the output that is still buffered: to write it at the end would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(EXIT_FAILURE)


def _exit_code(error: Exception) -> int:
    from kallback.protocol.errors import ConfigurationError, InstanceIdTakenError  # noqa: PLC0415 - as in `main`

    if isinstance(error, InstanceIdTakenError):
        return EXIT_INSTANCE_ID_TAKEN
    return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILURE
