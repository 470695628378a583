"""`kallback bridge`: one bridge process."""

from __future__ import annotations

import os

import click

from kallback.bridge import BridgeOptions
from kallback.cli.commands.bridge_options import bridge_options
from kallback.cli.commands.observing import Observing, observing_options, serve_observed
from kallback.cli.help_sections import SectionedCommand
from kallback.cli.logs import configure_logs
from kallback.settings import Settings


@click.command(cls=SectionedCommand)
@bridge_options
@click.option("--insecure", is_flag=True, help="Accept the published development key. Anyone can forge results.")
@observing_options
@click.option("-v", "--verbose", is_flag=True, help="Log more, the Kafka client included.")
def bridge(*, options: BridgeOptions, insecure: bool, verbose: bool, observing: Observing) -> None:
    """Complete awakeables with the results that workers send.

    Settings: KALLBACK_KEYS (or --insecure), KALLBACK_KAFKA_BOOTSTRAP_SERVERS, KALLBACK_RESTATE_INGRESS_URL and the
    others that docs/settings.md lists; docs/bridge.md explains the options. SIGTERM or Ctrl-C drains and commits.
    """
    configure_logs(verbose=verbose)
    serve_observed(_settings(insecure=insecure), options, observing)


def _settings(*, insecure: bool) -> Settings:
    """The environment's settings; `--insecure` is another way to say KALLBACK_INSECURE=1."""
    return Settings.from_env({**os.environ, "KALLBACK_INSECURE": "1"} if insecure else os.environ)
