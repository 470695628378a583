"""`kallback new`: write a project to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from kallback.cli.help import TextCommand, argument, option
from kallback.cli.new.project import check_name, package_of, write_project


@click.command(cls=TextCommand)
@argument("name", metavar="NAME", help="Name of its folder, of its topic and, with underscores, of its package.")
@option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Folder to write to, which must be empty but for .git and .venv. Default: NAME.",
)
def new(*, name: str, folder: Path | None) -> None:
    """Write a new project: a Restate service, a worker, their tests, and a Compose file.

    The README in it says how to test and run it.

    For example:

        kallback new print-shop
    """
    check_name(name)
    target = folder or Path(name)
    for path in write_project(name, target):
        click.echo(target / path)
    click.echo(f"\nNext: read {target / 'README.md'}, or type\n\ncd {target}")
    click.echo("pip install --requirement requirements-dev.txt\npytest")
    package = package_of(name)
    click.echo(f"kallback dev --service {package}.service:app --worker {package}.worker:worker --types {package}.tasks")
