"""`kallback token inspect`: what a token says, and whether it is good here. The tag is never printed."""

import sys
import time

import click

from kallback.cli.formatting import moment, span
from kallback.protocol import (
    AwakeableId,
    Claims,
    InvalidKeyError,
    UnverifiedError,
    locate_awakeable,
    parse_awakeable_id,
    read_claims,
)
from kallback.protocol.tokens import INSECURE_KEY_ID, NO_DEADLINE
from kallback.settings import Settings


@click.group()
def token() -> None:
    """Say what a token says."""


@token.command()
@click.argument("text", metavar="TOKEN|-")
def inspect(text: str) -> None:
    """Say what a token says: task, attempt, awakeable, deadline. The tag is never printed.

    With - the token is read from standard input: arguments can be seen by other users, and the shell keeps them.
    Where KALLBACK_KEYS is set, its tag is checked for KALLBACK_AUDIENCE (by default the results topic); exit code 1
    means that it is not good here.

        kallback token inspect - < token.txt
    """
    shown = (sys.stdin.read() if text == "-" else text).strip()
    if shown.startswith("sign_1"):
        _print_bare(parse_awakeable_id(shown))
        return
    claims = read_claims(shown)
    _print_claims(claims, int(time.time() * 1000))
    _check(shown, claims, Settings.from_env())


def _print_bare(awakeable_id: AwakeableId) -> None:
    click.echo("a bare awakeable id: it proves nothing, has no deadline and no fencing")
    _print_awakeable(awakeable_id)


def _print_claims(claims: Claims, now_ms: int) -> None:
    found = claims.token
    _line("key", claims.key_id + (" (the published one of insecure mode)" if claims.key_id == INSECURE_KEY_ID else ""))
    _line("type", found.task_type)
    _line("task", found.task_id)
    _line("attempt", str(found.attempt))
    _print_awakeable(found.awakeable_id)
    _line("deadline", _deadline(found.deadline_ms, now_ms))


def _print_awakeable(awakeable_id: AwakeableId) -> None:
    place = locate_awakeable(awakeable_id)
    _line("awakeable", awakeable_id)
    _line("", f"signal {place.signal_index} of invocation {place.invocation_id}")


def _deadline(deadline_ms: int, now_ms: int) -> str:
    if deadline_ms == NO_DEADLINE:
        return "none: the caller waits for ever"
    passed = deadline_ms < now_ms
    return (
        f"{moment(deadline_ms)}, {'passed ' if passed else 'in '}{span(deadline_ms - now_ms)}{' ago' if passed else ''}"
    )


def _check(text: str, claims: Claims, settings: Settings) -> None:
    try:
        keyring = settings.keys.require()
    except InvalidKeyError:
        _line("tag", "not checked: set KALLBACK_KEYS to have it checked")
        return
    audience = settings.keys.audience
    try:
        keyring.verify(text, audience)
    except UnverifiedError as error:
        _line("tag", f"NOT GOOD for {audience}: {error.reason}")
        raise
    _line("tag", f"good for {audience}, signed with key {claims.key_id}")


def _line(name: str, text: str) -> None:
    click.echo(f"{name:<9}  {text}")
