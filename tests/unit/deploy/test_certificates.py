"""The certificates of deploy/certificates.sh pass the strict verification that Python 3.13 switches on."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from kallback.kafka.login.refusals import refused_certificate
from kallback.protocol.errors import AccessDeniedError
from kallback.settings import KafkaSettings

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

SCRIPT = Path(__file__).parents[3] / "deploy" / "certificates.sh"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority and the broker's certificate, which also has the name `other`."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([str(SCRIPT), str(folder), "other"], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def old_folder(folder: Path) -> Path:
    """The same, with an authority as older scripts made it: without key usage."""
    old = folder / "old"
    script = SCRIPT.read_text().replace("-addext keyUsage=critical,keyCertSign,cRLSign ", "")
    subprocess.run(["bash", "-c", script, "certificates.sh", str(old), "other"], check=True, capture_output=True)
    return old


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Generator[int]:
    """A TLS server with the certificate of the folder that the test names; yields its port."""
    folder: Path = request.getfixturevalue(request.param)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "broker.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(context, listener))
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def _answer_once(context: ssl.SSLContext, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            return


def _connect(port: int, authority: Path) -> None:
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        context.wrap_socket(plain, server_hostname="other").close()


@pytest.mark.parametrize("server", ["folder"], indirect=True)
def test_strict_verification_accepts_them(folder: Path, server: int) -> None:
    """A client of any supported Python version connects, by each name of the broker."""
    _connect(server, folder / "ca.pem")


@pytest.mark.parametrize("server", ["old_folder"], indirect=True)
def test_an_authority_without_key_usage_is_named(old_folder: Path, server: int) -> None:
    """The error says what the authority lacks and how to issue it again."""
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        _connect(server, old_folder / "ca.pem")

    error = refused_certificate(KafkaSettings(), refused.value)

    assert isinstance(error, AccessDeniedError)
    assert "CA cert does not include key usage extension" in str(error)
    assert "keyCertSign" in str(error)
