"""`kallback version`: what is installed, for a bug report and to see which commands can run here."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Final

import click

from kallback.cli.help import TextCommand, option
from kallback.cli.tables import print_facts

_PACKAGES: Final = ("restate-sdk", "confluent-kafka", "aiokafka", "httptools")


@click.command(cls=TextCommand)
@option("--json", "as_json", is_flag=True, help="Print one JSON object; null if a package is not installed.")
def version(*, as_json: bool) -> None:
    """Show the installed versions of kallback and of the packages that it uses."""
    found = {
        "kallback": metadata.version("kallback"),
        "python": platform.python_version(),
        **{package: _installed(package) for package in _PACKAGES},
    }
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_facts((name, text or "not installed") for name, text in found.items())


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
