"""`kallback complete` and `kallback fail`: the result of a task by hand, checked as a bridge checks it.

The result goes straight to Restate's ingress, past Kafka: for repairs, and for scripts. The checks are the bridge's:
the same keys, the same audience, the same rules for late and unusable results. One attempt is made; the exit code says
how it ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeVar, assert_never

import click

from kallback.bridge import (
    Accepted,
    AttachDuplicate,
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
    UnusableResult,
    UnverifiedResult,
    decide,
)
from kallback.bridge import complete as complete_batch
from kallback.bridge.results.decide import KnownCopy
from kallback.cli.by_hand_options import (
    TASK_TYPE,
    error_status_option,
    error_type_option,
    result_file_option,
    retryable_option,
    task_type_option,
)
from kallback.cli.formatting import read_stdin
from kallback.cli.help import TextCommand, argument, option, with_options
from kallback.cli.imports import load_target
from kallback.cli.insecure import insecure_option, settings_from_env
from kallback.kafka import Headers, Record
from kallback.operations import misfit
from kallback.protocol import (
    AccessDeniedError,
    ConfigurationError,
    KallbackError,
    Problem,
    RestateUnavailableError,
    TaskType,
    Token,
    UnverifiedError,
    completed_headers,
    failed_headers,
    read_claims,
)
from kallback.protocol.awakeables import PREFIX as AWAKEABLE_PREFIX
from kallback.protocol.headers import TOKEN
from kallback.settings import RestateSettings

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
_STDIN: Final = "-"


class NotCompletedError(KallbackError):
    """The result was not sent, or Restate rejects it; a retry changes nothing."""

    has_entry = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHandOptions:
    """The options that `complete` and `fail` share.

    Attributes:
        force: complete the task although its deadline has passed.
        allow_bare_awakeables: accept an awakeable id in place of a token.
        insecure: accept tokens that are signed with the published key.
    """

    force: bool = False
    allow_bare_awakeables: bool = False
    insecure: bool = False


def _ingress(settings: RestateSettings) -> Completer:
    return IngressCompleter(settings, concurrency=1)


@dataclass(frozen=True, slots=True)
class CompleterFactory:
    """Makes the client of Restate; a test puts another one into click's context object."""

    make: Callable[[RestateSettings], Completer] = _ingress


def _token_and_options(run: Decorated) -> Decorated:
    """Add the argument and the options that both commands have."""
    options: tuple[Callable[[Decorated], Decorated], ...] = (
        argument("token", metavar="TOKEN|-", callback=_read_token, help="Token of the task; - reads it from stdin."),
        option(
            "--force",
            is_flag=True,
            help="Send the result even if it is late. It has no effect if the handler has timed out.",
        ),
        option(
            "--allow-bare-awakeables",
            is_flag=True,
            help="Accept an unsigned awakeable id in place of a token. It is not authenticated.",
        ),
        insecure_option,
    )
    return with_options(run, options)


def _read_token(ctx: click.Context, param: click.Parameter, value: str) -> str:
    token = (read_stdin() if value == _STDIN else value).strip()
    if not token:
        raise click.BadParameter("it is empty", ctx, param)
    return token


@click.command(cls=TextCommand)
@_token_and_options
@option("--json", "text", metavar="JSON", help="The result, as JSON. Default: null.")
@result_file_option
@task_type_option
def complete(token: str, *, text: str | None, file: BinaryIO | None, task_type: str | None, **options: bool) -> None:
    """Complete a task by hand.

    Sends the result straight to Restate's ingress; the handler resumes.

    Prefer - to a token on the command line: other users can see arguments, and the shell records them.

    Settings: KALLBACK_KEYS (to verify the token), KALLBACK_AUDIENCE or KALLBACK_TOPICS_*, KALLBACK_RESTATE_*.

    Exit codes: 0 if Restate accepted the result, 1 if not, 2 if a setting or an argument must change.

    For example:

        kallback complete - --json '{"minutes": 12}' --type shared:prepare < token.txt
    """
    if text is not None and file is not None:
        raise click.UsageError("Give one result, with --json or --file.")
    value = file.read() if file is not None else (text or "null").encode()
    if task_type is not None:
        _check_value(value, token, load_target(task_type, TASK_TYPE))
    _send_result(completed_headers(token), value, ByHandOptions(**options))


@click.command(cls=TextCommand)
@_token_and_options
@error_type_option
@error_status_option
@option("--detail", default="failed by hand", show_default=True, metavar="TEXT", help="One sentence for people.")
@retryable_option
@option(
    "--retry-after", type=click.FloatRange(0), metavar="SECONDS", help="Time before the next attempt, if there is one."
)
def fail(
    token: str,
    *,
    kind: str,
    status: int,
    detail: str,
    retryable: bool | None,
    retry_after: float | None,
    **options: bool,
) -> None:
    """Fail a task by hand.

    Sends the failure straight to Restate's ingress. The handler gets a TaskFailed error with this type, code and
    detail.

    The token, the settings and the exit codes are those of `kallback complete`.

    For example:

        kallback fail - --error-type OutOfStock --status 422 --detail "no basil" < token.txt
    """
    problem = Problem(kind, status, detail, retryable=retryable, retry_after=retry_after)
    _send_result(failed_headers(token), problem.encode(), ByHandOptions(**options))


def _check_value(value: bytes, token: str, task_type: TaskType[Any, Any]) -> None:
    """Refuse a result that the handler could not read: the token is good for one result only.

    Raises:
        NotCompletedError: the value does not fit the type, or the token belongs to another type.
    """
    if not token.startswith(AWAKEABLE_PREFIX) and (named := read_claims(token).token.task_type) != task_type.name:
        raise NotCompletedError(f"the token is one of task type {named}, not of {task_type.name}: nothing was sent")
    if (reason := misfit(value, task_type)) is not None:
        raise NotCompletedError(reason)


def _send_result(headers: Headers, value: bytes, options: ByHandOptions) -> None:
    """Check a result, send it to Restate, say what came of it.

    Args:
        headers: as a worker would set them, with the token.
        value: the result, or the problem.
        options: what is accepted.

    Raises:
        UnverifiedError: the token is not valid here.
        NotCompletedError: the result is late, not a result, or rejected.
        RestateUnavailableError: Restate did not accept it now; the same command may succeed later.
        ConfigurationError: a setting must change first.
    """
    settings = settings_from_env(insecure=options.insecure)
    trust = Trust(settings.keys.require(), settings.keys.audience, options.allow_bare_awakeables)
    _check_shape(headers)
    completion = _checked(Record("", 0, 0, 0, None, value, headers), trust, force=options.force)
    factory = click.get_current_context().find_object(CompleterFactory) or CompleterFactory()
    reply = asyncio.run(_send(factory.make(settings.restate), completion))
    _report(reply, completion)


def _check_shape(headers: Headers) -> None:
    """Say which part of a malformed token is wrong, in the sentence of `kallback token inspect`."""
    text = (dict(headers)[TOKEN] or b"").decode(errors="replace")
    if not text.startswith(AWAKEABLE_PREFIX):
        read_claims(text)


def _checked(record: Record, trust: Trust, *, force: bool) -> Completion:
    """Decide as a bridge that sees the token for the first time."""
    now_ms = 0.0 if force else time.time() * 1000
    verdict = decide(record, trust, seen=lambda _: Seen.NEW, now_ms=now_ms, grace_ms=0)
    match verdict:
        case Deliver():
            return verdict.completion
        case Late():
            raise NotCompletedError(
                f"too late ({verdict.detail}): the handler no longer waits; --force sends the result anyway"
            )
        case UnusableResult():
            raise NotCompletedError(f"this is not a result, nothing was sent: {verdict.detail}")
        case UnverifiedResult():
            raise UnverifiedError(verdict.reason, f"the token is not valid here ({verdict.reason}): {verdict.detail}")
        case AttachDuplicate() | Duplicate() | KnownCopy():
            raise AssertionError("a new token has no duplicates")
        case _:
            assert_never(verdict)


async def _send(completer: Completer, completion: Completion) -> Reply:
    await completer.start()
    try:
        return (await complete_batch(completer, [completion]))[0]
    finally:
        await completer.stop()


def _report(reply: Reply, completion: Completion) -> None:
    match reply:
        case Accepted():
            click.echo(
                f"Restate accepted it: {_described(completion)}. Restate does not say whether a handler still waits."
            )
        case Retry():
            raise RestateUnavailableError(f"not completed: {reply.detail}; the same command may succeed later")
        case Rejected():
            raise NotCompletedError(f"Restate rejects the result, a retry changes nothing: {reply.detail}")
        case TooLarge():
            raise NotCompletedError(f"the result is too large: {reply.detail}")
        case Misconfigured():
            raise (AccessDeniedError if reply.denied else ConfigurationError)(f"not completed: {reply.detail}")
        case _:
            assert_never(reply)


def _described(completion: Completion) -> str:
    target = completion.target
    if isinstance(target, Token):
        return f"{target.task_type}, task {target.task_id}, attempt {target.attempt}"
    return "a bare awakeable"
