"""Options in a file: they hide their values, and count when the file changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.protocol.errors import ConfigurationError
from kallback.settings import Settings
from kallback.testing.log_capture import capture_logs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OAUTH = "KALLBACK_KAFKA_SASL_OAUTH_"
EXTRA, PARAMETERS, EXTENSIONS = "KALLBACK_KAFKA_EXTRA", f"{OAUTH}PARAMETERS", f"{OAUTH}EXTENSIONS"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Options that are looked at each time."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    file = tmp_path / "options"
    file.touch(0o600)
    return file


def read(file: Path, name: str) -> Mapping[str, str]:
    """The options of one setting, from its file."""
    kafka = Settings.from_env({f"{name}_FILE": str(file)}).kafka
    found = {EXTRA: kafka.extra, PARAMETERS: kafka.security.oauth.parameters}
    return found.get(name, kafka.security.oauth.extensions)


@pytest.mark.parametrize("name", [EXTRA, PARAMETERS, EXTENSIONS])
def test_options_stand_in_files_as_secrets_do(file: Path, name: str) -> None:
    """What is in them does not show."""
    file.write_text('{"audience": "hush"}\n')
    assert dict(read(file, name)) == {"audience": "hush"}
    assert "hush" not in repr(read(file, name))


@pytest.mark.parametrize("name", [EXTRA, PARAMETERS, EXTENSIONS])
def test_options_of_a_file_that_changes_are_those_of_now(file: Path, name: str) -> None:
    """Whoever holds the settings has the new ones."""
    file.write_text('{"a": "1"}')
    options = read(file, name)
    file.write_text('{"b": 2}')
    assert dict(options) == {"b": "2"}
    assert (list(options), len(options), options.get("a")) == (["b"], 1, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [(EXTRA, "no JSON"), (PARAMETERS, '{"grant_type": "password"}'), (EXTENSIONS, '{"auth": "another"}')],
)
def test_options_that_cannot_be_used_are_refused(file: Path, name: str, content: str) -> None:
    """At the start with a sentence; in a running process the last good ones stay, and one line says so."""
    file.write_text(content)
    with pytest.raises(ConfigurationError, match="KALLBACK_KAFKA_"):
        read(file, name)
    file.write_text('{"good": "1"}')
    options = read(file, name)
    file.write_text(content)
    with capture_logs("kallback.settings") as lines:
        assert [dict(options), dict(options)] == 2 * [{"good": "1"}]
    (said,) = [each for each in lines if "kept" in each["event"]]
    assert said["setting"] == f"{name}_FILE"


def test_options_and_their_file_are_not_both_set(file: Path) -> None:
    """Nobody knows which ones hold."""
    file.write_text("{}")
    with pytest.raises(ConfigurationError, match=f"{EXTRA} and {EXTRA}_FILE are both set"):
        Settings.from_env({EXTRA: "{}", f"{EXTRA}_FILE": str(file)})
