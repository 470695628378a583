"""The directory of `kallback dev --data`."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.protocol import ConfigurationError
from kallback.testing import KafkaOptions
from kallback.testing.dev.data import KeptState, data_directory, upgrades
from kallback.testing.dev.servers import start_servers
from kallback.testing.software.progress import DownloadProgress
from kallback.testing.stack import RestateOptions

VERSIONS = {"Kafka": "4.4.0", "Restate": "1.7.12"}
STATE = KeptState(VERSIONS, {"kafka": 1}, "k1:x")


def test_the_next_run_gets_what_was_kept(tmp_path: Path) -> None:
    """Versions, ports and key; only the owner can read it, and version control leaves it out."""
    with data_directory(tmp_path / "data", VERSIONS) as first:
        assert first.state is None
        first.keep(STATE)
        exports = first.write_exports(["export A=1"])
    with data_directory(tmp_path / "data", VERSIONS) as second:
        assert second.state == STATE
    assert exports.read_text() == "export A=1\n"
    assert [(exports.parent / name).stat().st_mode & 0o077 for name in ("env", "state.json")] == [0, 0]
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"


def test_a_directory_is_used_once_at_a_time(tmp_path: Path) -> None:
    """Two servers on the same files destroy them; the sentence names the other process."""
    with (
        data_directory(tmp_path / "data", VERSIONS),
        pytest.raises(ConfigurationError, match=r"in use by another kallback dev \(process \d+\)"),
        data_directory(tmp_path / "data", VERSIONS),
    ):
        pass
    with data_directory(tmp_path / "data", VERSIONS):
        pass


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    """A directory that is not empty is nobody's data directory."""
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigurationError, match=r"not empty \(thesis\.txt\)"), data_directory(tmp_path, VERSIONS):
        pass


def test_a_file_in_its_place_is_a_sentence(tmp_path: Path) -> None:
    """No traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="name another"), data_directory(tmp_path / "file", VERSIONS):
        pass


@pytest.mark.parametrize("later", [{"Kafka": "4.10.0"}, {"Restate": "1.8.0"}])
def test_data_of_a_later_version_is_refused(later: dict[str, str], tmp_path: Path) -> None:
    """An earlier server cannot read it, and would not say so."""
    with data_directory(tmp_path / "data", VERSIONS) as first:
        first.keep(KeptState({**VERSIONS, **later}, {}, "k1:x"))
    with pytest.raises(ConfigurationError, match="cannot read"), data_directory(tmp_path / "data", VERSIONS):
        pass


def test_data_of_an_earlier_version_goes_on_with_a_sentence() -> None:
    """Both servers upgrade their data."""
    state = KeptState({"Kafka": "4.3.0", "Restate": "1.7.12"}, {}, "k1:x")
    assert upgrades(state, VERSIONS) == ["The data is of Kafka 4.3.0, Kafka 4.4.0 goes on."]
    assert upgrades(None, VERSIONS) == []


def test_servers_that_run_elsewhere_keep_their_own_data(tmp_path: Path) -> None:
    """The option would be without effect."""
    given, progress = KafkaOptions(bootstrap_servers="kafka:9092"), DownloadProgress()
    with (
        pytest.raises(ConfigurationError, match="leave --data out"),
        start_servers(given, RestateOptions(), tmp_path / "data", progress),
    ):
        pass
