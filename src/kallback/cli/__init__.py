"""The `kallback` command: the composition root. Subcommands import their package only when they run."""

from kallback.cli.app import main

__all__ = ["main"]
