"""The subcommands of `kallback contract`."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import click
import orjson

from kallback.cli.contracts.files import as_json, as_yaml, load_contract, write_folder, write_text
from kallback.cli.contracts.task_types import load_worker, worker_task_types
from kallback.cli.formatting import counted, plain, printable_json
from kallback.cli.help import TextCommand, TextGroup, argument, is_coloured, option
from kallback.contracts import (
    ChangeSeverity,
    ContractFinding,
    asyncapi_of,
    check_worker,
    contract_of,
    diff,
    schema_files_of,
)
from kallback.protocol.errors import ConfigurationError
from kallback.settings import Settings

EXIT_BREAKING: Final = 1
_COLOURS: Final = {ChangeSeverity.BREAKING: "red", ChangeSeverity.NOTE: "yellow"}
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=TextGroup)
def contract() -> None:
    """Export, compare and check contracts of task types."""


@contract.command(cls=TextCommand)
@argument("targets", nargs=-1, required=True, metavar="MODULE[:NAME,...]...", help="Where task types are declared.")
@option(
    "--format",
    "form",
    type=click.Choice(["asyncapi", "schemas"]),
    default="asyncapi",
    show_default=True,
    help="One document of AsyncAPI 3, or a folder of JSON Schemas.",
)
@option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="File (JSON if its name ends in .json, otherwise YAML); folder for schemas. Default: standard output.",
)
@option("--json", "to_json", is_flag=True, help="Print JSON in place of YAML.")
@option("--title", default="kallback workers", show_default=True, help="Title of the document.")
@option("--api-version", default="1.0.0", show_default=True, help="Version of the document.")
def export(
    targets: Sequence[str], *, form: str, output: Path | None, to_json: bool, title: str, api_version: str
) -> None:
    """Write the contract of task types as AsyncAPI or JSON Schemas.

    MODULE means all task types in it, also those of its workers; NAME for a TaskType, a list of them, or a Worker.
    The same types and settings make the same bytes, so that the file can be committed and compared.

    Settings: KALLBACK_TOPICS_*.

    Exit codes: 0, or 2 if an argument or a type must change.

    For example:

        kallback contract export kitchen.tasks --output contract.yaml
    """
    types = worker_task_types(targets)
    if not types:
        raise ConfigurationError("no worker does any of these task types: name one without awakeable_only")
    found = contract_of(types, Settings.from_env().topics)
    if form == "schemas":
        if output is None:
            raise ConfigurationError("JSON Schemas are several files: give the folder for them with --output")
        write_folder(output, schema_files_of(found))
        return
    document = asyncapi_of(found, title, api_version)
    is_json = to_json or (output is not None and output.suffix.lower() == ".json")
    text = as_json(document) if is_json else as_yaml(document)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)


@contract.command("diff", cls=TextCommand)
@argument("old", type=_FILE, metavar="OLD", help="Contract of what is deployed.")
@argument("new", type=_FILE, metavar="NEW", help="Contract of what is to be deployed.")
@option("--json", "to_json", is_flag=True, help="Print one JSON object per finding.")
def compare(old: Path, new: Path, *, to_json: bool) -> None:
    """Compare contracts: what breaks, and who must be deployed first.

    Both are files of `kallback contract export`. During an upgrade, requests of old services reach new workers, results
    of new workers old services, and the reverse: all four pairs are compared.

    Exit codes: 0 if nothing breaks, 1 if something does, 2 if a file cannot be used.

    For example:

        kallback contract diff old.yaml contract.yaml
    """
    _report(diff(load_contract(old), load_contract(new)), to_json=to_json)


@contract.command(cls=TextCommand)
@argument("path", type=_FILE, metavar="CONTRACT", help="Contract of the tasks that reach the worker.")
@argument("target", metavar="MODULE:WORKER", help="Module and name of a kallback.workers.Worker.")
@option("--type", "types", multiple=True, metavar="NAME", help="Only this task type of the contract. Can be repeated.")
@option("--json", "to_json", is_flag=True, help="Print one JSON object per finding.")
def check(path: Path, target: str, *, types: Sequence[str], to_json: bool) -> None:
    """Check that a worker can do the tasks of a contract, without a server.

    Each task type needs a function whose request type reads what the contract says, and whose result type writes what
    the contract's services read.

    Exit codes: 0 if it can, 1 if something does not fit, 2 if the contract or the worker cannot be used.

    For example:

        kallback contract check contract.yaml kitchen:worker
    """
    found = load_contract(path)
    if unknown := sorted(set(types) - {each.name for each in found.types}):
        raise ConfigurationError(f"{path} has no task type {unknown[0]!r}")
    if types:
        found = dataclasses.replace(found, types=tuple(each for each in found.types if each.name in types))
    worker = load_worker(target)
    kept = [each for each in worker.task_types if not types or each.name in types]
    _report(check_worker(found, kept, worker.group), to_json=to_json)


def _report(found: Sequence[ContractFinding], *, to_json: bool) -> None:
    if to_json:
        for each in found:
            click.echo(printable_json(orjson.dumps(dataclasses.asdict(each))))
    else:
        _print_lines(found)
    breaking = sum(each.severity is ChangeSeverity.BREAKING for each in found)
    click.echo(f"{counted(breaking, 'breaking finding')}, {counted(len(found) - breaking, 'note')}.", err=True)
    if breaking:
        sys.exit(EXIT_BREAKING)


def _print_lines(found: Sequence[ContractFinding]) -> None:
    """Print the findings of each task type, and the advice that they have in common once."""
    width = max(map(len, ChangeSeverity))
    for (_, task_type), group in groupby(found, key=lambda each: (each.severity, each.task_type)):
        findings = list(group)
        for each in findings:
            word = f"{each.severity.value:<{width}}"
            shown = click.style(word, fg=_COLOURS[each.severity]) if is_coloured() else word
            who = f" (breaks {each.breaks})" if each.breaks and each.severity is ChangeSeverity.BREAKING else ""
            click.echo(f"{shown}  {plain(task_type)}: {plain(each.sentence)}{who}")
        for text in dict.fromkeys(each.advice for each in findings if each.advice):
            click.echo(f"{'':<{width}}  → {plain(text)}")
