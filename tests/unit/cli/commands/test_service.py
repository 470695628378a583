"""`kallback service`: the application that it serves, and where."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli.commands.service import load_app, service
from kallback.protocol import ConfigurationError
from kallback.sdk.serving import serve_app
from kallback.testing.polling import eventually
from kallback.testing.servers.ports import accepts, free_ports


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("handler", "MODULE:NAME"),
        ("no_such_module_here:app", "no module"),
        ("kallback.cli.commands.service:nothing", "has no 'nothing'"),
    ],
)
def test_a_target_that_is_no_application_says_what_to_write(target: str, sentence: str) -> None:
    """The remedy is in the sentence."""
    with pytest.raises(ConfigurationError, match=sentence):
        load_app(target)


def test_an_application_is_found_by_module_and_name() -> None:
    """Anything that can be called will do: an ASGI application is a function."""
    assert load_app("kallback.sdk.serving:serve_app") is serve_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The current directory of the command, with an application that is never called."""
    (tmp_path / "served_module.py").write_text("async def app(scope, receive, send):\n    pass\n")
    return tmp_path


def test_a_service_collects_garbage_seldom(folder: Path) -> None:
    """As bridge and worker do; what it handles is freed with its last reference."""
    code = (
        "import asyncio, gc; from kallback.cli.app import app\n"
        "asyncio.run = lambda served: print('collects after', gc.get_threshold()[0], served.close())\n"
        "app(['service', 'served_module:app'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert "collects after 10000" in result.stdout, result.stderr


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `kallback service` in a folder."""
    command = [sys.executable, "-m", "kallback.cli", "service", "served_module:app", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_a_port_in_use_is_a_sentence(folder: Path) -> None:
    """It names the options to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(folder, "--port", str(taken.getsockname()[1]))
    assert (result.returncode, "choose another --port or --host" in result.stderr) == (2, True)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_a_sentence(folder: Path, host: str) -> None:
    """Or of none."""
    result = run(folder, "--host", host, "--port", "9999")
    assert (result.returncode, f"cannot listen on {host}:9999" in result.stderr) == (2, True)


def test_a_health_port_in_use_is_a_sentence_of_its_own(folder: Path) -> None:
    """It names the options of the health port, as those of other commands do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(folder, "--port", str(free_ports(1)[0]), "--health-port", str(taken.getsockname()[1]))
    assert (result.returncode, "choose another --health-port or --health-host" in result.stderr) == (2, True)


async def test_the_health_port_says_that_a_service_is_ready(folder: Path) -> None:
    """It has the metrics of the server, too."""
    port, health = free_ports(2)
    command = (sys.executable, "-m", "kallback.cli", "service", "served_module:app")
    process = await asyncio.create_subprocess_exec(
        *command, "--port", str(port), "--health-port", str(health), cwd=folder
    )
    try:
        await eventually("the health port", lambda: accepts(health))
        await eventually("the service", lambda: accepts(port))
        said = [await asyncio.to_thread(_get, health, path) for path in ("/readyz", "/livez", "/metrics")]
    finally:
        process.terminate()
        await process.wait()

    assert said[0].startswith('{"ok":true')
    assert said[1].startswith('{"ok":true')
    assert "kallback_service_ready 1.0" in said[2]


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return str(answer.read().decode())


def test_a_host_that_cannot_be_one_is_refused() -> None:
    """Before anything starts."""
    result = CliRunner().invoke(service, ["served_module:app", "--host", "\u00e4" * 300])
    assert (result.exit_code, "neither an address nor a host name" in result.output) == (2, True)
