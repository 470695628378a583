"""What `kallback complete` and `kallback fail` share: a result by hand, through the bridge's own judgement.

The result goes straight to Restate's ingress, past Kafka: for people who mend things, and for scripts. It is judged as
a bridge would judge it: same keys, same audience, same rules for late and unusable ones. One attempt is made; the exit
code says how it ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, assert_never

import click

from kallback.bridge import (
    Accepted,
    Attach,
    Completer,
    Completion,
    Deliver,
    Duplicate,
    IngressCompleter,
    Late,
    Misconfigured,
    Rejected,
    Reply,
    Retry,
    Seen,
    TooLarge,
    Trust,
    Unusable,
    Unverified,
    complete,
    decide,
)
from kallback.kafka import Headers, Record
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    RestateUnavailableError,
    Token,
    UnverifiedError,
)
from kallback.settings import RestateSettings, Settings

Command = TypeVar("Command", bound=Callable[..., Any])
STDIN: Final = "-"


class NotCompletedError(KallbackError):
    """It was not handed to Restate, or Restate does not take it; trying again changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a result is completed by hand.

    Attributes:
        force: though it is late.
        allow_bare_awakeables: a bare awakeable id will do.
        insecure: take tokens that are signed with the published key.
    """

    force: bool = False
    allow_bare_awakeables: bool = False
    insecure: bool = False


def _ingress(settings: RestateSettings) -> Completer:
    return IngressCompleter(settings, connections=1)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the commands touch Restate with: the real thing, or what a test puts into click's context object."""

    completer: Callable[[RestateSettings], Completer] = _ingress


def by_hand(run: Command) -> Command:
    """Add the token, and the options that say how."""
    options = (
        click.argument("token", metavar="TOKEN|-", callback=_read_token),
        click.option("--force", is_flag=True, help="Even if it is late; the handler's own timer decides."),
        click.option(
            "--allow-bare-awakeables", is_flag=True, help="Take a bare awakeable id for a token. It proves nothing."
        ),
        click.option("--insecure", is_flag=True, help="Accept tokens signed with the published development key."),
    )
    for option in reversed(options):
        run = option(run)
    return run


def _read_token(ctx: click.Context, param: click.Parameter, value: str) -> str:
    token = (sys.stdin.readline() if value == STDIN else value).strip()
    if not token:
        raise click.BadParameter("it is empty", ctx, param)
    return token


def hand_over(headers: Headers, value: bytes, manner: Manner) -> None:
    """Judge a result, hand it to Restate, say what became of it.

    Args:
        headers: as a worker would set them, the token included.
        value: the result, or the problem.
        manner: how.

    Raises:
        UnverifiedError: the token is not good here.
        NotCompletedError: it is late, no result, or refused.
        RestateUnavailableError: Restate did not take it now; the same command may succeed later.
        ConfigurationError: a setting must change first.
    """
    settings = Settings.from_env({**os.environ, "KALLBACK_INSECURE": "1"} if manner.insecure else os.environ)
    trust = Trust(settings.keys.require(), settings.keys.audience, manner.allow_bare_awakeables)
    completion = _judge(Record("", 0, 0, 0, None, value, headers), trust, force=manner.force)
    hands = click.get_current_context().find_object(Hands) or Hands()
    reply = asyncio.run(_send(hands.completer(settings.restate), completion))
    _tell(reply, completion)


def _judge(record: Record, trust: Trust, *, force: bool) -> Completion:
    """What a bridge would make of it that sees the token for the first time."""
    now_ms = 0.0 if force else time.time() * 1000
    verdict = decide(record, trust, seen=lambda _: Seen.NEW, now_ms=now_ms, grace_ms=0)
    match verdict:
        case Deliver():
            return verdict.completion
        case Late():
            raise NotCompletedError(
                f"too late ({verdict.detail}): the handler has given up; --force hands it over all the same"
            )
        case Unusable():
            raise NotCompletedError(f"this is no result, nothing was sent: {verdict.detail}")
        case Unverified():
            raise UnverifiedError(verdict.reason, f"the token is not good here ({verdict.reason}): {verdict.detail}")
        case Attach() | Duplicate():
            raise AssertionError("a new token has no copies")
        case _:
            assert_never(verdict)


async def _send(completer: Completer, completion: Completion) -> Reply:
    await completer.start()
    try:
        return (await complete(completer, [completion]))[0]
    finally:
        await completer.stop()


def _tell(reply: Reply, completion: Completion) -> None:
    match reply:
        case Accepted():
            click.echo(f"Restate took it: {_shown(completion)}. It does not say whether anybody still waits.")
        case Retry():
            raise RestateUnavailableError(f"not completed: {reply.detail}; the same command may succeed later")
        case Rejected():
            raise NotCompletedError(f"Restate refuses it for good: {reply.detail}")
        case TooLarge():
            raise NotCompletedError(f"too large: {reply.detail}")
        case Misconfigured():
            raise (AccessDeniedError if reply.denied else ConfigurationError)(f"not completed: {reply.sentence}")
        case _:
            assert_never(reply)


def _shown(completion: Completion) -> str:
    target = completion.target
    if isinstance(target, Token):
        return f"{target.task_type}, task {target.task_id}, attempt {target.attempt}"
    return "a bare awakeable"
