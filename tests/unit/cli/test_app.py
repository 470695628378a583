"""The command as a newcomer meets it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from kallback.cli import app as command
from kallback.protocol import ConfigurationError, InstanceIdTakenError, KafkaUnavailableError, KallbackError
from kallback.testing import ServerStartError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "kallback.cli", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_names_every_command_with_a_sentence() -> None:
    """`kallback --help` is the map of the product."""
    text = CliRunner().invoke(command.app, ["--help"]).output
    for name in ("bridge", "complete", "dead-letters", "dev", "fail", "tasks", "token", "topics", "version", "worker"):
        assert f"  {name} " in text


def test_help_imports_no_client_library() -> None:
    """Help answers at once, and where no extra is installed."""
    code = (
        "import sys; from click.testing import CliRunner; from kallback.cli.app import app;"
        "CliRunner().invoke(app, ['--help']);"
        "slow = {'restate', 'confluent_kafka', 'aiokafka', 'httptools', 'rich', 'structlog', 'msgspec', 'asyncio'};"
        "slow |= {'yaml'};"
        "print(sorted(slow & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_command_has_help_of_its_own() -> None:
    """`kallback COMMAND --help` works for each command that the map names."""
    for name in ("bridge", "complete", "dead-letters", "dev", "fail", "tasks", "token", "topics", "version", "worker"):
        result = CliRunner().invoke(command.app, [name, "--help"])
        assert result.exit_code == 0, result.output
        assert "Usage:" in result.output


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("set it"), command.EXIT_CONFIGURATION),
        (KafkaUnavailableError("away"), command.EXIT_FAILURE),
        (InstanceIdTakenError("another one"), command.EXIT_INSTANCE_ID_TAKEN),
    ],
)
def test_an_error_of_ours_is_one_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: KallbackError, code: int
) -> None:
    """No traceback reaches the user; 2: a setting must change; 3: never start this process again. Below is its page."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == f"kallback: {error}\n  help: {error.help}\n"


def test_a_bridge_without_keys_does_not_start() -> None:
    """A lost variable must not open the bridge: the sentence says how to make a key."""
    result = run("bridge")
    assert result.returncode == command.EXIT_CONFIGURATION
    assert "KALLBACK_KEYS" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("keys", ["k1:replace-me", "k1:" + "A" * 44, "nonsense", "k1:c2hvcnQ="])
def test_a_key_that_is_no_secret_is_refused_in_one_sentence(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback, and without the key."""
    monkeypatch.setenv("KALLBACK_KEYS", keys)
    result = run("bridge")
    sentence, help_, *more = result.stderr.splitlines()
    assert (result.returncode, more) == (command.EXIT_CONFIGURATION, [])
    assert sentence.startswith("kallback: ")
    assert help_.endswith("#invalid-key-error")


def test_control_characters_of_an_error_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence may quote what a server said."""

    def fail(**_: object) -> None:
        raise KafkaUnavailableError("a broker said \x1b[2J")

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().err.splitlines()[0] == "kallback: a broker said \\x1b[2J"


def test_the_log_of_a_server_that_does_not_start_is_shown_in_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`kallback dev` shows the end of a log as people read it, and nothing of it reaches the terminal's controls."""

    def fail(**_: object) -> None:
        raise ServerStartError("Kafka ended. Last lines of kafka.log:\nstarting\nout of memory \x1b[2J")

    monkeypatch.setattr(command, "app", fail)
    with pytest.raises(SystemExit):
        command.main()
    assert capsys.readouterr().err.splitlines()[:3] == [
        "kallback: Kafka ended. Last lines of kafka.log:",
        "starting",
        "out of memory \\x1b[2J",
    ]


def test_a_full_disk_under_the_output_is_one_sentence() -> None:
    """The device has no room for anything."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "kallback.cli", "version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "kallback: cannot write (No space left on device): free space, or write elsewhere\n"
