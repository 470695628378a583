"""Each secret may stand in a file, as Docker and Kubernetes mount secrets."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from kallback.protocol.errors import ConfigurationError
from kallback.settings import VARIABLES, KafkaSettings, Settings
from kallback.settings.environment import Environment
from kallback.settings.files.secret_file import SecretFile, exposure
from kallback.testing.log_capture import capture_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRETS = [variable.name for variable in VARIABLES if variable.is_secret]
TOKEN = "KALLBACK_RESTATE_AUTH_TOKEN"
KEY = "k1:" + base64.b64encode(hashlib.sha256(b"a key in a file").digest()).decode()


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_whole_file_is_the_secret(tmp_path: Path, name: str, end: str) -> None:
    """Spaces belong to it; the line end that an editor adds does not."""
    file = tmp_path / "secret"
    file.write_bytes(f" hush {end}".encode())
    secret = Environment({f"{name}_FILE": str(file)}).secret(name)
    assert secret is not None
    assert secret.reveal() == " hush "


def test_a_byte_order_mark_is_no_part_of_the_secret(tmp_path: Path) -> None:
    """Editors on Windows begin files with one, and nobody sees it."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xef\xbb\xbfhush\r\n")
    assert SecretFile("--token-file", file).reveal() == "hush"


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    """Their names are known; the keys themselves do not show."""
    file = tmp_path / "keys"
    file.write_text(KEY + "\n")
    assert repr(Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require()) == "Keyring(k1)"


def test_a_secret_and_its_file_are_not_both_set(tmp_path: Path) -> None:
    """Nobody knows which one holds."""
    variables = {TOKEN: "hush", f"{TOKEN}_FILE": str(tmp_path / "token")}
    with pytest.raises(ConfigurationError, match="are both set: unset one of them") as caught:
        Settings.from_env(variables)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \t\n\n", "is empty"),
        (b"\xff", "not UTF-8"),
        (b"x" * 70_000, "more than"),
    ],
)
def test_a_file_without_a_secret_is_refused(tmp_path: Path, content: bytes | None, why: str) -> None:
    """The sentence names the variable and says why."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"{TOKEN}_FILE=.*{why}"):
        Settings.from_env({f"{TOKEN}_FILE": str(file)})


@pytest.mark.parametrize(
    "name", ["KALLBACK_KAFKA_SASL_USERNAME_FILE", "KALLBACK_TOPICS_RESULTS_FILE", "KALLBACK_MY_FILE"]
)
def test_a_file_that_nothing_reads_is_refused(name: str) -> None:
    """A secret that is expected there would be missed."""
    with pytest.raises(ConfigurationError, match=f"{name} is no setting"):
        Settings.from_env({name: "/run/secrets/name"})


def test_further_options_show_their_names_only() -> None:
    """Some of them are secrets, and nobody knows which."""
    settings = KafkaSettings(extra={"sasl.oauthbearer.client.secret": "hush"})
    assert "hush" not in repr(settings)
    assert "sasl.oauthbearer.client.secret" in repr(settings)
    assert dict(settings.extra) == {"sasl.oauthbearer.client.secret": "hush"}


@pytest.mark.parametrize(
    ("mode", "owned", "in_container", "who"),
    [
        (0o600, True, False, None),
        (0o400, True, False, None),
        (0o440, False, False, None),
        (0o640, False, False, None),
        (0o440, True, False, "its group may read it"),
        (0o644, True, False, "all users of the machine may read it"),
        (0o644, False, False, "all users of the machine may read it"),
        (0o444, False, True, None),
        (0o620, True, True, "its group may write it"),
        (0o660, False, False, "its group may write it"),
        (0o602, True, True, "all users of the machine may write it"),
        (0o777, True, False, "all users of the machine may write it"),
    ],
)
def test_who_else_may_use_a_secret(mode: int, owned: bool, in_container: bool, who: str | None) -> None:  # noqa: FBT001 - a table
    """A group that may read is how a process reads the file of another user; writing is never meant."""
    assert exposure(mode, owned=owned, in_container=in_container) == who


@pytest.fixture(autouse=True)
def looked_at_by_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by the thread that follows the files of a process."""
    monkeypatch.setattr("kallback.settings.files.secret_file.watch", lambda _: None)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What is logged, as in a new process."""
    monkeypatch.setattr("kallback.settings.files.secret_file._warned", set[tuple[str, str]]())
    with capture_logs("kallback.settings") as lines:
        yield lines


@pytest.mark.parametrize("name", [*(f"{name}_FILE" for name in SECRETS), "KALLBACK_KAFKA_SSL_KEY_FILE"])
def test_a_secret_that_others_may_read_is_said_once(tmp_path: Path, lines: list[dict[str, Any]], name: str) -> None:
    """With the setting, the file and the remedy, and without the secret; every role reads its settings here."""
    file = tmp_path / "secret"
    file.write_text(KEY if name == "KALLBACK_KEYS_FILE" else "{}")
    file.chmod(0o644)
    security = {"KALLBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KALLBACK_KAFKA_SASL_USERNAME": "me"}
    password = {} if "PASSWORD_FILE" in name and "SASL" in name else {"KALLBACK_KAFKA_SASL_PASSWORD": "hush"}
    if "OAUTH" in name:
        token = {"KALLBACK_KAFKA_SASL_OAUTH_CLIENT_ID": "me", "KALLBACK_KAFKA_SASL_OAUTH_TOKEN_URL": "https://login"}
        security = {"KALLBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KALLBACK_KAFKA_SASL_MECHANISM": "OAUTHBEARER"}
        password = token if "CLIENT_SECRET" in name else token | {"KALLBACK_KAFKA_SASL_OAUTH_CLIENT_SECRET": "hush"}
    certificate = {"KALLBACK_KAFKA_SSL_CERT_FILE": str(file)} if "SSL_KEY" in name else {}
    if name == "KALLBACK_KAFKA_SSL_KEY_PASSWORD_FILE":
        key = tmp_path / "key.pem"
        key.touch(0o600)
        certificate["KALLBACK_KAFKA_SSL_KEY_FILE"] = str(key)
    for _ in range(2):
        Settings.from_env(security | password | certificate | {name: str(file)})

    [line] = lines
    assert (line["setting"], line["file"], line["remedy"]) == (name, str(file), f"chmod 600 {file}")
    assert KEY not in str(lines)


def test_a_secret_of_its_owner_alone_is_not_mentioned(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    """As the remedy leaves it."""
    file = tmp_path / "secret"
    file.write_text(KEY)
    file.chmod(0o600)
    Settings.from_env({"KALLBACK_KEYS_FILE": str(file)})
    assert lines == []


@pytest.fixture
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each use looks at the file."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)


@pytest.mark.usefixtures("looked_at_often")
@pytest.mark.parametrize("name", SECRETS)
def test_a_file_that_changes_is_read_again(tmp_path: Path, name: str) -> None:
    """Written anew, or exchanged as Kubernetes does."""
    file, next_one = tmp_path / "secret", tmp_path / "next"
    file.write_text("old\n")
    secret = Environment({f"{name}_FILE": str(file)}).secret(name)
    assert secret is not None
    assert secret.reveal() == "old"
    file.write_text("newer\n")
    assert secret.reveal() == "newer"
    next_one.write_text("newest\n")
    next_one.replace(file)
    assert secret.reveal() == "newest"
    assert "newest" not in repr(secret)


@pytest.mark.usefixtures("looked_at_often")
@pytest.mark.parametrize("content", [None, b"", b"\xff", b"x" * 70_000])
def test_a_change_that_cannot_be_used_keeps_the_last_secret(
    tmp_path: Path, lines: list[dict[str, Any]], content: bytes | None
) -> None:
    """A running process does not end of it; one line says what is wrong, and the next good file counts."""
    file = tmp_path / "token"
    file.write_text("old")
    file.chmod(0o600)
    secret = SecretFile("--token-file", file)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    for _ in range(3):
        assert secret.reveal() == "old"
    [line] = lines
    assert "--token-file" in line["reason"]
    file.write_text("new")
    file.chmod(0o600)
    assert secret.reveal() == "new"


@pytest.mark.usefixtures("looked_at_often")
def test_a_change_that_could_not_be_read_for_a_moment_is_read_later(
    tmp_path: Path, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without free descriptors would else keep the old secret for ever."""
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text("old")
    secret = SecretFile("--token-file", file)
    file.write_text("newer")

    def too_many(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open", too_many)
        for _ in range(3):
            assert secret.reveal() == "old"
    assert secret.reveal() == "newer"
    assert len([each for each in lines if "reason" in each]) == 1


@pytest.mark.usefixtures("looked_at_often")
def test_a_pipe_is_read_once(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    """As a shell's `<(command)` is; a second reading would wait for who writes it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    writing = threading.Thread(target=pipe.write_text, args=("hush\n",))
    writing.start()
    secret = SecretFile("--token-file", pipe)
    writing.join()
    assert [secret.reveal() for _ in range(3)] == ["hush"] * 3
    assert lines == []


@pytest.mark.usefixtures("looked_at_often")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_file_that_becomes_something_else_holds_up_nobody(
    tmp_path: Path, lines: list[dict[str, Any]], kind: str
) -> None:
    """Opening a pipe waits for who writes it, and a device may never end."""
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text("old")
    secret = SecretFile("--token-file", file)
    file.unlink()
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case _:
            file.mkdir()
    assert [secret.reveal() for _ in range(3)] == ["old"] * 3
    [line] = lines
    assert "is no file any more: set it to a file" in line["reason"]


def test_a_file_is_looked_at_once_a_second(tmp_path: Path) -> None:
    """However often its secret is used; `look` looks at once."""
    file = tmp_path / "token"
    file.write_text("old")
    secret = SecretFile("--token-file", file)
    secret._next_look += 3600
    file.write_text("newer")
    assert secret.reveal() == "old"
    secret.look()
    assert secret.reveal() == "newer"
