"""`kallback tasks link`: the link with which a person answers a task at the gateway.

It shows what the reader of the task topic can see anyway: the token is in the task's record. It goes to standard
output and nowhere else. With a question it is the link to a page with buttons, signed as the handler signs one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import click
import msgspec

from kallback.cli.formatting import moment
from kallback.cli.help import TextCommand, option
from kallback.cli.names import task_id_argument
from kallback.cli.tasks.factories import operations_factories
from kallback.cli.tasks.lookup import find_to_answer
from kallback.operations import check_answerable
from kallback.protocol import DecodeError, Keyring, check_json
from kallback.protocol.links import Choice, Form, sign_form
from kallback.settings import GatewaySettings, Settings

_WARNING: Final = (
    "Whoever has it can answer this attempt, once{until}, and the outcome has no name: hand it to one person, over a "
    "channel that keeps it secret."
)


@click.command(cls=TextCommand)
@task_id_argument()
@option("--gateway", metavar="URL", help="Address of the gateway. Default: KALLBACK_GATEWAY_URL.")
@option("--token", "as_token", is_flag=True, help="Print the token alone, for header Authorization: Bearer.")
@option("--question", metavar="TEXT", help="Print the link to a page with this question, for a person who is to click.")
@option(
    "--choice",
    "choices",
    multiple=True,
    metavar="LABEL=JSON",
    help="A button of the page, and the result that it sends: 'Approve=true'. Can be repeated.",
)
def link(task_id: str, *, gateway: str | None, as_token: bool, question: str | None, choices: tuple[str, ...]) -> None:
    """Print the link of a pending task, for the gateway.

    The link is a bearer credential: who has it can answer the current attempt, until the deadline. It needs READ on the
    task topic, whose records have the token, or KALLBACK_KEYS for an awakeable, of which Kafka has no record. To answer
    in your own name, use `kallback tasks complete`.

    A page with buttons needs --question, a --choice for each button, and KALLBACK_KEYS. What the handler asked is in
    its own link alone, so it is not known here.

    Settings: KALLBACK_GATEWAY_URL, and those of `kallback tasks`.

    Exit codes: 0 if it is printed, 1 if no handler waits for the task or the deadline has passed, 2 if a setting must
    change.

    For example:

        kallback tasks link q8Tzl0b2R6m1cV9x --gateway https://answers.example.com
        kallback tasks link q8Tzl0b2R6m1cV9x --question "Order the lamp?" --choice Approve=true --choice Refuse=false
    """
    form = _form(question, choices)
    if form is not None and as_token:
        raise click.UsageError("Give --question or --token: the buttons are in the link.")
    settings = Settings.from_env()
    keyring = None if form is None else settings.keys.require()
    place = settings.gateway if gateway is None else GatewaySettings(gateway)
    _, headers = asyncio.run(find_to_answer(operations_factories(settings), settings, task_id))
    check_answerable(headers, settings, now_ms=time.time() * 1000)
    deadline_ms, token = headers.deadline_ms, headers.token
    text = "" if form is None or keyring is None else _signed(form, token, keyring)
    click.echo(token if as_token else place.link(token, text))
    click.echo(_WARNING.format(until="" if deadline_ms is None else f" and until {moment(deadline_ms)}"), err=True)


def _form(question: str | None, choices: Sequence[str]) -> Form | None:
    if question is None:
        if choices:
            raise click.UsageError("--choice is a button below a question: add --question.")
        return None
    return Form(question, tuple(map(_choice, choices)))


def _choice(text: str) -> Choice:
    label, is_given, value = text.partition("=")
    if not is_given:
        raise click.UsageError(f"--choice {text!r} has no result: write LABEL=JSON, such as 'Approve=true'.")
    try:
        return Choice(label.strip(), msgspec.Raw(check_json(value.strip().encode())))
    except DecodeError as error:
        raise click.UsageError(
            f"--choice {label!r}: its result is {error}; a text is written in double quotes."
        ) from None


def _signed(form: Form, token: str, keyring: Keyring) -> str:
    try:
        return sign_form(form, token, keyring)
    except ValueError as error:
        raise click.UsageError(f"{error}".replace("choices", "--choice").replace("question", "--question")) from None
