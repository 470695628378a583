"""Files on which connections depend are noticed when they change, and not in the middle of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.kafka.login.connection_files import SettledConnectionFiles, connection_files
from kallback.settings import KafkaSecurity, KafkaSettings, SecurityProtocol
from kallback.settings.files.followed import Followed
from kallback.settings.files.followed_values import FollowedValues
from kallback.settings.files.secret_file import SecretFile


class Clock:
    """Goes on by a second at each look."""

    now = 0.0

    def __call__(self) -> float:
        """Monotonic seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Begins at 0."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where certificate, key and authority are."""
    for name in ("ca.pem", "tls.pem", "tls.key"):
        (tmp_path / name).write_text("the first")
    return tmp_path


@pytest.fixture
def files(folder: Path, clock: Clock) -> SettledConnectionFiles:
    """What is tested."""
    security = KafkaSecurity(
        protocol=SecurityProtocol.SSL,
        ca_file=folder / "ca.pem",
        cert_file=folder / "tls.pem",
        key_file=folder / "tls.key",
    )
    return SettledConnectionFiles(KafkaSettings(security=security), clock)


def looks(files: SettledConnectionFiles, clock: Clock, count: int) -> list[bool]:
    """What is seen, a second apart."""
    found: list[bool] = []
    for _ in range(count):
        clock.now += 1.0
        found.append(files.changed())
    return found


def test_files_that_stay_are_no_change(files: SettledConnectionFiles, clock: Clock) -> None:
    """However often they are looked at."""
    assert looks(files, clock, 3) == [False, False, False]


def test_a_change_counts_once_it_is_over(files: SettledConnectionFiles, clock: Clock, folder: Path) -> None:
    """A certificate does not fit the old key; so it counts a second after the last file was written, and once."""
    (folder / "tls.pem").write_text("the second one")
    assert looks(files, clock, 1) == [False]
    (folder / "tls.key").write_text("the second one")
    assert looks(files, clock, 3) == [False, True, False]


def test_files_are_looked_at_once_a_second(files: SettledConnectionFiles, clock: Clock, folder: Path) -> None:
    """Whoever polls asks far more often."""
    (folder / "tls.pem").write_text("the second one")
    assert looks(files, clock, 1) == [False]
    assert [files.changed() for _ in range(3)] == [False, False, False]
    assert looks(files, clock, 1) == [True]


def test_a_file_that_is_gone_is_no_change(files: SettledConnectionFiles, clock: Clock, folder: Path) -> None:
    """It is about to be exchanged."""
    (folder / "ca.pem").unlink()
    assert looks(files, clock, 3) == [False, False, False]
    (folder / "ca.pem").write_text("the second one")
    assert looks(files, clock, 2) == [False, True]


def test_a_file_that_holds_the_same_is_no_change(files: SettledConnectionFiles, clock: Clock, folder: Path) -> None:
    """Its mode was corrected, or it was copied again: no reason to leave a group."""
    (folder / "tls.key").chmod(0o600)
    (folder / "tls.pem").write_text("the first")
    assert looks(files, clock, 3) == [False, False, False]
    (folder / "tls.pem").write_text("the second one")
    assert looks(files, clock, 2) == [False, True]


def test_those_who_can_go_back_need_not_wait(folder: Path) -> None:
    """A change counts at once, and once."""
    security = KafkaSecurity(protocol=SecurityProtocol.SSL, ca_file=folder / "ca.pem")
    changed = connection_files(KafkaSettings(security=security))
    (folder / "ca.pem").write_text("the second one")
    assert [changed(), changed()] == [True, False]


def test_options_of_a_file_count_as_well(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Librdkafka takes them once, when a client is made."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    file = tmp_path / "extra.json"
    file.touch(0o600)
    file.write_text("one")
    name = "KALLBACK_KAFKA_EXTRA_FILE"
    extra = FollowedValues(Followed(SecretFile(name, file), lambda text: {"client.rack": text}))
    files = SettledConnectionFiles(KafkaSettings(extra=extra), clock)
    file.write_text("another")
    assert looks(files, clock, 3) == [False, True, False]
