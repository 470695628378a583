"""AsyncAPI's own parser accepts the documents of `kallback contract export`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.unit.contracts.test_asyncapi import document, task_types

from kallback.cli.contracts.files import as_yaml
from kallback.testing.environment import ServerEnvironment
from kallback.testing.errors import NoServerError
from kallback.testing.software.cache import cached
from kallback.testing.software.node import find_npm
from kallback.testing.software.progress import DownloadProgress

PARSER: Final = "@asyncapi/parser@3.6.6"
_NO_DOWNLOAD: Final = re.compile(r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|E40[34]")
SCRIPT: Final = """
const { Parser } = require("@asyncapi/parser");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
Promise.all(texts.map((text) => new Parser().parse(text))).then((all) => console.log(JSON.stringify(
  all.map(({ diagnostics }) => diagnostics.filter(({ severity }) => severity < 2).map(({ message }) => message)),
)));
"""
"""Errors and warnings of each document."""


@pytest.fixture(scope="module")
def parser() -> tuple[str, Path]:
    """Node.js, and the folder with the parser."""
    environment = ServerEnvironment.read()
    try:
        npm = find_npm(environment, DownloadProgress())
    except NoServerError as error:
        pytest.skip(str(error))

    def fill(folder: Path) -> None:
        (folder / "package.json").write_text("{}")
        install = [*npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", PARSER]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode and _NO_DOWNLOAD.search(done.stderr):
            pytest.skip(f"npm cannot download {PARSER} on this machine")
        assert done.returncode == 0, done.stderr

    node = "node" if len(npm) == 1 else npm[0]
    return node, cached(environment.cache / "asyncapi", PARSER.replace("/", "-"), fill)


def test_the_parser_accepts_a_contract_and_refuses_what_is_none(parser: tuple[str, Path]) -> None:
    """Without an error or a warning, as YAML; an operation on a channel that does not exist is an error."""
    node, folder = parser
    few = task_types()[-9:]  # of each convention, and with each limit; the parser takes its time
    spoiled = document(few)
    spoiled["operations"]["long"]["channel"] = {"$ref": "#/channels/absent"}
    texts = json.dumps([as_yaml(document(few)), json.dumps(spoiled)])
    done = subprocess.run(
        [node, "-e", SCRIPT], cwd=folder, input=texts, capture_output=True, text=True, timeout=120, check=True
    )
    accepted, refused = json.loads(done.stdout)
    assert accepted == []
    assert refused != []
