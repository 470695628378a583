"""Signing keys in a file change in a running process; nothing that is signed or verified before is lost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from pathlib import Path

import pytest

from kallback.protocol import Attempt, Keyring, Token, parse_awakeable_id, task_id_of
from kallback.protocol.tokens import UnverifiedToken
from kallback.settings import Settings
from kallback.settings.files.followed_keyring import FollowedKeyring, keyring_of
from kallback.testing import eventually
from kallback.testing.log_capture import capture_logs

AUDIENCE = "kallback.results"
AWAKEABLE = parse_awakeable_id("sign_1" + base64.urlsafe_b64encode(b"i" * 24 + b"\0\0\0\x11").decode().rstrip("="))
TOKEN = Token("shop.pack", task_id_of(b"t" * 12), Attempt(1), AWAKEABLE)


def key(key_id: str) -> str:
    """One key as `KALLBACK_KEYS` has it."""
    return f"{key_id}:{base64.b64encode(hashlib.sha256(key_id.encode() + b' of these tests').digest()).decode()}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one key."""
    file = tmp_path / "keys"
    file.touch(0o600)
    file.write_text(key("k1"))
    return file


@pytest.fixture
def keyring(file: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """What a process made of it; it looks at the file each time."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    return Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require()


def test_a_rotation_needs_no_restart(file: Path, keyring: Keyring) -> None:
    """Old tokens are good while their key is listed; the first key signs."""
    old = keyring.sign(TOKEN, AUDIENCE)
    file.write_text(f"{key('k1')},{key('k2')}")
    assert keyring.key_ids == ("k1", "k2")
    file.write_text(f"{key('k2')},{key('k1')}")
    new = keyring.sign(TOKEN, AUDIENCE)
    assert new.startswith("kb1:k2:")
    assert keyring.verify(old, AUDIENCE) == keyring.verify(new, AUDIENCE) == TOKEN
    file.write_text(key("k2"))
    found = keyring.check(old, AUDIENCE)
    assert isinstance(found, UnverifiedToken)
    assert found.reason == "unknown-key"
    assert keyring.derive("k1", "a purpose") is None
    assert keyring.derive("k2", "a purpose") is not None
    assert [each.key_ids for each in keyring.each()] == [("k2",)]
    assert repr(keyring) == "Keyring(k2)"


def test_an_unknown_key_is_looked_up_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may sign with a key that its bridge has in the file, and has not read yet."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 3600.0)
    bridge = Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require()
    file.write_text(f"{key('k2')},{key('k1')}")
    service = Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require()
    assert bridge.verify(service.sign(TOKEN, AUDIENCE), AUDIENCE) == TOKEN


def test_a_thread_waits_for_the_keys_that_another_one_reads(
    file: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the old keys it would refuse a good token for good."""
    reading, other_asks = threading.Event(), threading.Event()

    def slow_keyring_of(text: str, *, insecure: bool) -> Keyring:
        reading.set()
        other_asks.wait(0.2)
        return keyring_of(text, insecure=insecure)

    file.write_text(f"{key('k2')},{key('k1')}")
    new = Settings.from_env({"KALLBACK_KEYS_FILE": str(file)}).keys.require().sign(TOKEN, AUDIENCE)
    monkeypatch.setattr("kallback.settings.files.followed_keyring.keyring_of", slow_keyring_of)
    first = threading.Thread(target=keyring.check, args=(new, AUDIENCE))
    first.start()
    assert reading.wait(10)
    assert keyring.check(new, AUDIENCE) == TOKEN
    other_asks.set()
    first.join()


@pytest.mark.parametrize("content", ["", "nonsense", "k9:c2hvcnQ=", "k9:" + base64.b64encode(b"a" * 32).decode()])
def test_keys_that_cannot_be_used_change_nothing(file: Path, keyring: Keyring, content: str) -> None:
    """A mistake in a running system is a line in the log; no line has a key."""
    with capture_logs("kallback.settings") as lines:
        file.write_text(content)
        assert [keyring.key_ids for _ in range(3)] == [("k1",)] * 3
    assert len([each for each in lines if "reason" in each]) == 1
    assert not content or content[3:] not in str(lines) or len(content) < 5


async def test_an_idle_process_has_the_new_keys_and_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who rotates keys waits for its line, and a gateway may have no request for hours."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    settings = Settings.from_env({"KALLBACK_KEYS_FILE": str(file)})
    with capture_logs("kallback.settings") as lines:
        await asyncio.to_thread(file.write_text, f"{key('k1')},{key('k2')}")
        await eventually("the line", lambda: any(each.get("key_ids") == ["k1", "k2"] for each in lines))
    assert settings.keys.require().key_ids == ("k1", "k2")


def test_every_part_of_a_keyring_follows_the_file() -> None:
    """One that did not would use keys of no file at all."""
    followed = vars(FollowedKeyring)
    own = {name for name in vars(Keyring) if not name.startswith("_")}
    assert own - followed.keys() == {"parse", "insecure", "verify"}, "verify calls check"
