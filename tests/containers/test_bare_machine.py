"""With nothing but Python and make, `make demo` and `make test` set themselves up, and so does `kallback dev`."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
IMAGE = "python:3.11-slim"
LEFT_OUT = {".git", ".venv", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"}
INSTALLED = "for name in java mvn node npm restate-server; do command -v $name; done; true"
# How this machine reaches package indexes; addresses and files that the image does not know stay here.
NETWORK = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

FOLLOW = r"""
set -eu
python3 -m venv /tmp/venv
/tmp/venv/bin/pip install --quiet '/kallback[dev]'
mkdir /tmp/empty && cd /tmp/empty
export PATH=/tmp/venv/bin:$PATH
kallback dev --example > dev.log 2>&1 &
dev=$!
until grep -q 'Ctrl-C stops' dev.log; do kill -0 $dev || { cat dev.log; exit 1; }; sleep 0.2; done
eval "$(grep '^export' dev.log)"
python3 - <<'ASK'
import json, os, time, urllib.error, urllib.request

def post(url, value):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(value).encode(), headers)
    for _ in range(100):
        try:
            return json.load(urllib.request.urlopen(request, timeout=60))
        except (ConnectionError, urllib.error.URLError) as error:
            last = error
            time.sleep(0.2)
    raise last

print("answer:", post(os.environ["KALLBACK_RESTATE_INGRESS_URL"] + "/Orders/place", "Pizza"))
ASK
kill -INT $dev
wait $dev
tail -1 dev.log
"""


@dataclass(frozen=True)
class BareContainer:
    """A running container of Debian's slim image with this project's files in /kallback."""

    identity: str

    def run(self, script: str) -> str:
        """Run a script in the project's folder and return what it prints; it must succeed."""
        command = ["docker", "exec", "--workdir", "/kallback", self.identity, "bash", "-c", script]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"{script} failed:\n{done.stdout[-5000:]}"
        return done.stdout


@pytest.fixture
def bare() -> Generator[BareContainer]:
    """A new container; make is installed in it if the image has none."""
    variables = [part for name in NETWORK if os.environ.get(name) for part in ("--env", name)]
    command = ["docker", "run", "--detach", "--rm", "--init", *variables, IMAGE, "sleep", "1200"]
    identity = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        copy = ["docker", "cp", "-", f"{identity}:/"]
        subprocess.run(copy, input=_project(), capture_output=True, check=True)
        container = BareContainer(identity)
        container.run("command -v make || { apt-get update -qq && apt-get install -y -qq make; }")
        yield container
    finally:
        subprocess.run(["docker", "rm", "-fv", identity], capture_output=True, check=False)


def _project() -> bytes:
    """The files that a checkout or a source distribution has, as a tar archive."""

    def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if Path(entry.name).name in LEFT_OUT else entry

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ROOT, arcname="kallback", filter=wanted)
    return archive.getvalue()


def test_make_demo_and_make_test_set_themselves_up(bare: BareContainer) -> None:
    """The demo runs to its end, and the linters, type checkers and servers of `make test` are there."""
    assert bare.run(INSTALLED) == ""

    demo = bare.run("make demo")
    bare.run("make lint types servers")
    tests = bare.run("KALLBACK_REQUIRE_SERVERS=1 .venv/bin/pytest -q tests/acceptance/test_quickstart.py")

    assert "Downloading Java" in demo
    assert "Downloading Restate" in demo
    assert "4 passed" in tests


def test_a_user_follows_what_kallback_dev_prints(bare: BareContainer) -> None:
    """With `pip install "kallback[dev]"` alone, the README's example runs and answers a call."""
    assert "answer: Pizza waits on shelf B4\nStopped.\n" in bare.run(FOLLOW)
