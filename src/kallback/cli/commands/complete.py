"""`kallback complete`: a task's result by hand."""

from __future__ import annotations

from typing import BinaryIO

import click

from kallback.cli.commands.completing import Manner, by_hand, hand_over
from kallback.protocol import completed_headers


@click.command()
@by_hand
@click.option("--json", "text", metavar="JSON", help="The result. Default: null.")
@click.option("--file", "file", type=click.File("rb"), metavar="FILE", help="The result, from a file, byte for byte.")
def complete(token: str, *, text: str | None, file: BinaryIO | None, **manner: bool) -> None:
    """Complete a task with a result, straight at Restate's ingress.

    With - the token is read from standard input: arguments can be seen by other users, and the shell keeps them.
    Settings: KALLBACK_KEYS (the token is verified), KALLBACK_AUDIENCE or KALLBACK_TOPICS_*, KALLBACK_RESTATE_*.
    Exit code 0: Restate took it; 1: it did not, the sentence says why; 2: a setting must change.

        kallback complete - --json '{"minutes": 12}' < token.txt
    """
    if text is not None and file is not None:
        raise click.UsageError("one result is enough: --json or --file")
    value = file.read() if file is not None else (text or "null").encode()
    hand_over(completed_headers(token), value, Manner(**manner))
