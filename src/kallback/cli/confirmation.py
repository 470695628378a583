"""Asks before something is sent that cannot be taken back."""

from __future__ import annotations

import sys

import click

from kallback.protocol import ConfigurationError


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; go on only with a yes.

    Args:
        question: on standard error.
        yes: the answer was given as an option.

    Raises:
        ConfigurationError: there is no terminal to ask at.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError("not a terminal, nothing sent: check with --dry-run, then rerun with --yes")
    click.confirm(question, abort=True, err=True)
