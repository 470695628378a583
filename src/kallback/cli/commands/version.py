"""`kallback version`: what is installed, for a bug report and to see which roles this environment can play."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

import click

_PACKAGES: Final = ("restate-sdk", "confluent-kafka", "aiokafka", "httptools")


@click.command()
def version() -> None:
    """Show the versions of kallback and of what it runs on."""
    click.echo(f"kallback {metadata.version('kallback')}")
    click.echo(f"python {platform.python_version()}")
    for package in _PACKAGES:
        click.echo(f"{package} {_installed(package)}")


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
