"""pip fetches a pinned package into the cache, and only the pinned one."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kallback.testing.errors import NoServerError
from kallback.testing.software import package_clients
from kallback.testing.software.package_clients import cached_wheels, client_environment

if TYPE_CHECKING:
    from tests.unit.testing.software.conftest import BareMachine


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `tinytool` 1.0 in a folder that is all that pip knows."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tinytool-1.0-py3-none-any.whl"
    info = "tinytool-1.0.dist-info"
    contents = {
        "tinytool.py": "VERSION = 1\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinytool\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in contents.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**contents, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _pin(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    monkeypatch.setattr(package_clients, "pinned", lambda _: f"tinytool==1.0 --hash=sha256:{digest}\n")


def test_a_pinned_package_is_fetched_once(machine: BareMachine, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call downloads and says so; the second finds the folder in the cache."""
    _pin(monkeypatch, hashlib.sha256(wheel.read_bytes()).hexdigest())
    allowed = machine.environment(KALLBACK_TEST_DOWNLOADS="1")

    first = cached_wheels(allowed, "tinytool", "tinytool.txt", "A tool", machine.progress)
    wheel.unlink()
    second = cached_wheels(machine.environment(), "tinytool", "tinytool.txt", "A tool", machine.progress)

    assert first == second == machine.folder / "cache" / "tinytool-1.0"
    assert (first / "tinytool.py").exists()
    assert machine.said.getvalue().count("Downloading A tool, with pip") == 1


@pytest.mark.usefixtures("wheel")
def test_a_package_with_another_checksum_is_refused(machine: BareMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an index serves in place of the pinned file never gets into the cache."""
    _pin(monkeypatch, "0" * 64)

    with pytest.raises(NoServerError, match=r"(?s)pip install tinytool failed.*(?i:hash)"):
        cached_wheels(
            machine.environment(KALLBACK_TEST_DOWNLOADS="1"), "tinytool", "tinytool.txt", "A tool", machine.progress
        )

    assert not list((machine.folder / "cache").glob("tinytool*/"))


def test_every_client_trusts_what_python_trusts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A company's certificate authority is set once; a value that is set already stays."""
    authorities = tmp_path / "ca.pem"
    authorities.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/own.pem")
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)

    environment = client_environment()

    assert environment["NODE_EXTRA_CA_CERTS"] == str(authorities)
    assert environment["REQUESTS_CA_BUNDLE"] == "/own.pem"
