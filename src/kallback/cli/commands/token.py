"""`kallback token inspect`: what a token contains, and whether it is valid here. The signature is never printed."""

from __future__ import annotations

import time
from typing import Any

import click
import orjson

from kallback.cli.formatting import moment, plain, printable_json, read_stdin
from kallback.cli.help import TextCommand, TextGroup, argument, option
from kallback.cli.tables import print_facts
from kallback.durations import span
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


@click.group(cls=TextGroup)
def token() -> None:
    """Decode and verify tokens."""


@token.command(cls=TextCommand)
@argument("text", metavar="TOKEN|-", help="Token or awakeable id; - reads it from stdin.")
@option("--json", "as_json", is_flag=True, help="Print one JSON object; the deadline in epoch milliseconds.")
def inspect(text: str, *, as_json: bool) -> None:
    """Decode and verify a token.

    Shows its task, attempt, awakeable and deadline. The signature is never printed.

    Prefer - to a token on the command line: other users can see arguments, and the shell records them.

    If KALLBACK_KEYS is set, the signature is checked for KALLBACK_AUDIENCE (default: the results topic). Exit code 1
    means that the token is not valid here.

    For example:

        kallback token inspect - < token.txt
    """
    shown = (read_stdin() if text == "-" else text).strip()
    if shown.startswith("sign_1"):
        _print(_bare(parse_awakeable_id(shown)), as_json=as_json)
        return
    claims, settings = read_claims(shown), Settings.from_env()
    failure = _verify(shown, settings)
    _print(_contents(claims) | _signature(settings, failure), as_json=as_json)
    if isinstance(failure, UnverifiedError):
        raise failure


def _verify(text: str, settings: Settings) -> UnverifiedError | InvalidKeyError | None:
    """Check the signature; returns why it is not valid, or the lack of a key."""
    try:
        settings.keys.require().verify(text, settings.keys.audience)
    except (UnverifiedError, InvalidKeyError) as error:
        return error
    return None


def _bare(awakeable_id: AwakeableId) -> dict[str, Any]:
    return {"bare": True} | _awakeable(awakeable_id)


def _contents(claims: Claims) -> dict[str, Any]:
    found = claims.token
    return {
        "bare": False,
        "key": claims.key_id,
        "type": found.task_type,
        "task": found.task_id,
        "attempt": found.attempt,
        **_awakeable(found.awakeable_id),
        "deadline": None if found.deadline_ms == NO_DEADLINE else found.deadline_ms,
    }


def _awakeable(awakeable_id: AwakeableId) -> dict[str, Any]:
    place = locate_awakeable(awakeable_id)
    return {"awakeable": awakeable_id, "invocation": place.invocation_id, "signal": place.signal_index}


def _signature(settings: Settings, failure: Exception | None) -> dict[str, Any]:
    if isinstance(failure, InvalidKeyError):
        return {"valid": None, "audience": settings.keys.audience, "reason": None}
    reason = failure.reason if isinstance(failure, UnverifiedError) else None
    return {"valid": failure is None, "audience": settings.keys.audience, "reason": reason}


def _print(contents: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(printable_json(orjson.dumps(contents)))
        return
    if contents["bare"]:
        click.echo("A bare awakeable id: it is not authenticated and has neither a deadline nor an attempt.")
    print_facts(_facts(contents, int(time.time() * 1000)))


def _facts(contents: dict[str, Any], now_ms: int) -> list[tuple[str, str]]:
    awakeable = [
        ("awakeable", contents["awakeable"]),
        ("", f"signal {contents['signal']} of invocation {contents['invocation']}"),
    ]
    if contents["bare"]:
        return awakeable
    published = " (the published key of insecure mode)" if contents["key"] == INSECURE_KEY_ID else ""
    return [
        ("key", contents["key"] + published),
        ("type", plain(contents["type"])),
        ("task", contents["task"]),
        ("attempt", str(contents["attempt"])),
        *awakeable,
        ("deadline", _deadline(contents["deadline"], now_ms)),
        ("signature", _verdict(contents)),
    ]


def _deadline(deadline_ms: int | None, now_ms: int) -> str:
    if deadline_ms is None:
        return "none: the caller waits without a limit"
    if deadline_ms < now_ms:
        return f"{moment(deadline_ms)}, passed {span(deadline_ms - now_ms)} ago"
    return f"{moment(deadline_ms)}, in {span(deadline_ms - now_ms)}"


def _verdict(contents: dict[str, Any]) -> str:
    match contents["valid"]:
        case None:
            return "not checked: set KALLBACK_KEYS to check it"
        case True:
            return f"valid for {contents['audience']}, signed with key {contents['key']}"
        case _:
            return f"NOT VALID for {contents['audience']}: {contents['reason']}"
