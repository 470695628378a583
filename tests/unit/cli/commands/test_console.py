"""`kallback console`: its options."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli.commands import console as command
from kallback.cli.console.console import Console
from kallback.cli.console.options import ConsoleOptions
from kallback.protocol import ConfigurationError
from kallback.settings.files.secret_file import SecretFile
from kallback.testing.log_capture import capture_logs
from kallback.web import ServerOptions


def started(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Console:
    """What the command would run."""
    served: list[Console] = []
    monkeypatch.setattr(command, "serve", served.append)
    result = CliRunner().invoke(command.console, arguments)
    if result.exception is not None:
        raise result.exception
    return served[0]


def test_without_options_it_is_on_the_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a password, and payloads are shown."""
    options = started(monkeypatch).options
    assert options == ConsoleOptions()
    assert (options.server.host, options.password, options.mask_payloads) == ("127.0.0.1", None, False)


def test_options_reach_the_console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each of them."""
    (tmp_path / "password").write_text("open sesame\n")
    arguments = ["--port", "1", "--host", "0.0.0.0", "--allow-host", "a.example", "--allow-host", "b.example"]
    arguments += ["--process", "http://127.0.0.1:9464", "--process", "http://127.0.0.1:9465"]
    console = started(
        monkeypatch,
        *arguments,
        "--password-file",
        str(tmp_path / "password"),
        "--mask-payloads",
        "--allow-changes",
        "--user-header",
        "X-User",
    )
    assert console.options == ConsoleOptions(
        server=ServerOptions(host="0.0.0.0", port=1, max_body_bytes=1024 * 1024),
        hosts=frozenset({"a.example", "b.example"}),
        password=SecretFile("--password-file", tmp_path / "password"),
        processes=("http://127.0.0.1:9464", "http://127.0.0.1:9465"),
        allow_changes=True,
        user_header="X-User",
        mask_payloads=True,
    )


def test_types_are_named_as_for_the_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module has all its types; the modules are imported at the start, and what is no type is refused then."""
    made = "".join(f'{name} = TaskType("shop.{name}", dict[str, int], int)\n' for name in ("pack", "wrap"))
    (tmp_path / "console_types.py").write_text(f"from kallback.protocol import TaskType\n{made}")
    monkeypatch.syspath_prepend(tmp_path)
    for target, names in (("console_types", ["shop.pack", "shop.wrap"]), ("console_types:wrap", ["shop.wrap"])):
        options = started(monkeypatch, "--allow-changes", "--types", target).options
        assert [each.name for each in options.types] == names
    with pytest.raises(ConfigurationError, match="there is no console_types:bake"):
        started(monkeypatch, "--types", "console_types:bake")


def test_a_password_that_others_may_read_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the remedy, and without the password."""
    monkeypatch.setattr("kallback.settings.files.secret_file._warned", set[tuple[str, str]]())
    monkeypatch.setattr(command, "configure_logs", lambda **_: None)
    (tmp_path / "password").write_text("open sesame\n")
    (tmp_path / "password").chmod(0o604)
    with capture_logs("kallback.settings") as lines:
        started(monkeypatch, "--password-file", str(tmp_path / "password"))
    assert [line["remedy"] for line in lines] == [f"chmod 600 {tmp_path / 'password'}"]
    assert "sesame" not in str(lines)


def test_the_network_needs_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise everyone who reaches the port reads requests."""
    with pytest.raises(ConfigurationError, match="--password-file"):
        started(monkeypatch, "--host", "0.0.0.0")


@pytest.mark.parametrize("address", ["127.0.0.1:9464", "https://127.0.0.1:9464", "http://me:hush@"])
def test_what_is_no_health_port_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The sentence shows how to write one, and no password."""
    with pytest.raises(ConfigurationError, match="9464") as caught:
        started(monkeypatch, "--process", address)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_password_that_cannot_be_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    """The console does not start without one by accident."""
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigurationError, match="--password-file"):
        started(monkeypatch, "--password-file", str(tmp_path / "password"))
