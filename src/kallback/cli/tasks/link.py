"""`kallback tasks link`: the link with which a person answers a task at the gateway.

It shows what the reader of the task topic can see anyway: the token is in the task's record. It goes to standard
output and nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import click

from kallback.cli.formatting import moment
from kallback.cli.help import TextCommand, option
from kallback.cli.names import task_id_argument
from kallback.cli.tasks.factories import operations_factories
from kallback.cli.tasks.lookup import find_to_answer
from kallback.operations import check_answerable
from kallback.settings import GatewaySettings, Settings

_WARNING: Final = (
    "Whoever has it can answer this attempt, once{until}, and the outcome has no name: hand it to one person, over a "
    "channel that keeps it secret."
)


@click.command(cls=TextCommand)
@task_id_argument()
@option("--gateway", metavar="URL", help="Address of the gateway. Default: KALLBACK_GATEWAY_URL.")
@option("--token", "as_token", is_flag=True, help="Print the token alone, for header Authorization: Bearer.")
def link(task_id: str, *, gateway: str | None, as_token: bool) -> None:
    """Print the link of a pending task, for the gateway.

    The link is a bearer credential: who has it can answer the current attempt, until the deadline. It needs READ on the
    task topic, whose records have the token, or KALLBACK_KEYS for an awakeable, of which Kafka has no record. To answer
    in your own name, use `kallback tasks complete`.

    Settings: KALLBACK_GATEWAY_URL, and those of `kallback tasks`.

    Exit codes: 0 if it is printed, 1 if no handler waits for the task or the deadline has passed, 2 if a setting must
    change.

    For example:

        kallback tasks link q8Tzl0b2R6m1cV9x --gateway https://answers.example.com
    """
    settings = Settings.from_env()
    place = settings.gateway if gateway is None else GatewaySettings(gateway)
    _, headers = asyncio.run(find_to_answer(operations_factories(settings), settings, task_id))
    check_answerable(headers, settings, now_ms=time.time() * 1000)
    deadline_ms, token = headers.deadline_ms, headers.token
    click.echo(token if as_token else place.link(token))
    click.echo(_WARNING.format(until="" if deadline_ms is None else f" and until {moment(deadline_ms)}"), err=True)
