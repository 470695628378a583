"""Files of contracts: YAML or JSON, the same bytes for the same contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from kallback.cli.imports import needs_extra
from kallback.contracts import COMMENT, Contract, read_contract
from kallback.protocol.errors import ConfigurationError

_LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a document; one of a thousand task types has about four million."""
_DEEPEST: Final = 200
"""Lists and members of YAML within each other; its parser in C ends the process at some ten thousand."""
_WIDTH: Final = 120


def as_json(document: object) -> str:
    """A document as JSON, indented, members in the order in which they were made."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_yaml(document: object) -> str:
    """A document as YAML.

    Raises:
        MissingExtraError: PyYAML is not installed.
    """
    with needs_extra("contracts"):
        import yaml  # noqa: PLC0415 - only YAML needs it

    class _Plain(yaml.SafeDumper):
        """Writes what occurs twice twice: references of YAML are hard to read."""

        def ignore_aliases(self, data: Any) -> bool:
            """Return that nothing is a reference."""
            del data
            return True

    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text


def write_text(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}: give another --output") from None


def write_folder(folder: Path, documents: dict[str, dict[str, Any]]) -> None:
    """Write a folder of JSON files, and remove those from before that are no more among them.

    Raises:
        ConfigurationError: a file cannot be written.
    """
    for name, document in documents.items():
        write_text(folder / name, as_json(document))
    for path in folder.glob("*.json"):
        if path.name not in documents and COMMENT in path.read_text(encoding="utf-8", errors="replace"):
            path.unlink()


def load_contract(path: Path) -> Contract:
    """Read a contract that `kallback contract export` wrote.

    Raises:
        ConfigurationError: the file is no such contract, too large, or neither YAML nor JSON.
        MissingExtraError: it is YAML, and PyYAML is not installed.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigurationError(f"{path} is larger than {_LARGEST} bytes, which no contract is")
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    try:
        return read_contract(_parsed(data, path), str(path))
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deep for a contract") from None


def _parsed(data: bytes, path: Path) -> object:
    if data.lstrip().startswith(b"{"):
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise ConfigurationError(f"{path} is not JSON: {error}") from None
    with needs_extra("contracts"):
        import yaml  # noqa: PLC0415 - only YAML needs it
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(data, Loader=loader):
            if isinstance(event, yaml.AliasEvent):  # a few lines of them can stand for more than fits into memory
                raise ConfigurationError(f"{path} has the reference *{event.anchor}: write what it stands for")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ConfigurationError(f"{path} is nested too deep for a contract")
        return orjson.loads(orjson.dumps(yaml.load(data, Loader=loader)))  # noqa: S506 - the safe loader
    except (yaml.YAMLError, ValueError, TypeError) as error:  # TypeError: of what JSON has not, such as a set
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
