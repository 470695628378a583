"""`kallback bridge`: one bridge process."""

from __future__ import annotations

import os
from typing import Final

import click

from kallback.bridge import Bridge, BridgeOptions
from kallback.cli.logs import configure_logs
from kallback.cli.serving import serve
from kallback.kafka import ConsumerOptions
from kallback.settings import Settings

_DEFAULTS: Final = BridgeOptions()


@click.command()
@click.option("--group", default=_DEFAULTS.group, show_default=True, help="Consumer group that bridges share.")
@click.option(
    "--instance-id",
    metavar="NAME",
    help="Name of this replica (a pod's name): after a crash it gets its partitions back at once.",
)
@click.option("--concurrency", default=_DEFAULTS.concurrency, show_default=True, type=click.IntRange(1))
@click.option("--outcomes", is_flag=True, help="Write what became of each result to the outcomes topic.")
@click.option("--allow-bare-awakeables", is_flag=True, help="Take a bare awakeable id for a token. It proves nothing.")
@click.option("--insecure", is_flag=True, help="Accept the published development key. Anyone can forge results.")
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client included.")
def bridge(
    *,
    group: str,
    instance_id: str | None,
    concurrency: int,
    outcomes: bool,
    allow_bare_awakeables: bool,
    insecure: bool,
    verbose: bool,
) -> None:
    """Complete awakeables with the results that workers send.

    Settings: KALLBACK_KEYS (or --insecure), KALLBACK_KAFKA_BOOTSTRAP_SERVERS, KALLBACK_RESTATE_INGRESS_URL and the
    others that docs/settings.md lists. SIGTERM or Ctrl-C drains and commits.
    """
    configure_logs(verbose=verbose)
    options = BridgeOptions(
        group=group,
        consumer=ConsumerOptions(group_instance_id=instance_id),
        concurrency=concurrency,
        outcomes=outcomes,
        allow_bare_awakeables=allow_bare_awakeables,
    )
    serve(Bridge(_settings(insecure=insecure), options))


def _settings(*, insecure: bool) -> Settings:
    """The environment's settings; `--insecure` is another way to say KALLBACK_INSECURE=1."""
    return Settings.from_env({**os.environ, "KALLBACK_INSECURE": "1"} if insecure else os.environ)
