"""`kallback fail`: a task's failure by hand."""

from __future__ import annotations

import click

from kallback.cli.commands.completing import Manner, by_hand, hand_over
from kallback.protocol import Problem, failed_headers
from kallback.protocol.problems import DEFAULT_STATUS, DEFAULT_TYPE


@click.command()
@by_hand
@click.option("--type", "kind", default=DEFAULT_TYPE, show_default=True, metavar="NAME", help="What callers branch on.")
@click.option(
    "--status",
    default=DEFAULT_STATUS,
    show_default=True,
    type=click.IntRange(400, 599),
    metavar="CODE",
    help="Code of the handler's terminal error.",
)
@click.option("--detail", default="failed by hand", show_default=True, metavar="TEXT", help="One sentence for people.")
@click.option("--retryable/--not-retryable", default=None, help="Whether another attempt may succeed.")
@click.option("--retry-after", type=click.FloatRange(0), metavar="SECONDS", help="When, if the caller retries.")
def fail(
    token: str,
    *,
    kind: str,
    status: int,
    detail: str,
    retryable: bool | None,
    retry_after: float | None,
    **manner: bool,
) -> None:
    """Fail a task, straight at Restate's ingress: its caller gets the error at once.

    Token, settings and exit codes are those of `kallback complete`.

        kallback fail - --type OutOfStock --status 422 --detail "no basil" < token.txt
    """
    problem = Problem(kind, status, detail, retryable=retryable, retry_after=retry_after)
    hand_over(failed_headers(token), problem.encode(), Manner(**manner))
