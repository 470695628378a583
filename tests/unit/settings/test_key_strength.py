"""Signing keys that are no secret are refused with a sentence; random keys always pass."""

import base64
import hashlib
import random
import re
from pathlib import Path

import pytest

from kallback.protocol.errors import InvalidKeyError
from kallback.settings import Settings

ROOT = Path(__file__).parents[3]
PLACEHOLDER = re.findall(r"^KALLBACK_KEYS=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)[0]


def encoded(key: bytes) -> str:
    """A key as KALLBACK_KEYS has it."""
    return f"k1:{base64.b64encode(key).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PLACEHOLDER, id="placeholder"),
        pytest.param(encoded(b"kallback-insecure-published-development-key"), id="development key"),
        pytest.param(encoded(bytes(32)), id="zeros"),
        pytest.param(encoded(b"\xff" * 48), id="ones"),
        pytest.param(encoded(b"0123456789abcdef" * 2), id="repeated pattern"),
        pytest.param(encoded(bytes(range(32))), id="counted up"),
        pytest.param(encoded(bytes(range(255, 223, -1))), id="counted down"),
        pytest.param(encoded(b"correct horse battery staple is no secret"), id="pass phrase in base64"),
        pytest.param(encoded(b"The-Quick-Brown-Fox-Jumps-Over-The-Lazy-Dog"), id="capitalised pass phrase"),
        pytest.param("k1:correct-horse-battery-staple-correct-horse-battery", id="text that decodes"),
        pytest.param("k1:" + "A" * 43, id="one letter"),
        pytest.param("k1:" + "MySecretKey" * 4, id="repeated word"),
        pytest.param("k1:" + "0" * 64, id="constant hexadecimal digits"),
        pytest.param(encoded(hashlib.sha256(b"password").digest()), id="digest of a word"),
        pytest.param(encoded(hashlib.sha512(b"Secret").digest()), id="longer digest of a capitalised word"),
        pytest.param(encoded(hashlib.sha256(b"kallback\n").digest()), id="digest of a word and echo's newline"),
        pytest.param(encoded(hashlib.sha256(b"").digest()), id="digest of nothing"),
        pytest.param("k1:" + hashlib.sha256(b"password\n").hexdigest(), id="output of sha256sum"),
        pytest.param("k1:" + hashlib.sha256(b"test").hexdigest().upper(), id="capital hexadecimal digits of a digest"),
        pytest.param(encoded(hashlib.sha256(b"changeme").hexdigest().encode()), id="hexadecimal digest in base64"),
        pytest.param(encoded("Über sieben Brücken musst Du gehen, Jürgen".encode()), id="pass phrase with umlauts"),
        pytest.param(encoded("съешь же ещё этих мягких булок".encode()), id="pass phrase in Cyrillic letters"),
        pytest.param(encoded(b"kallback-insecure-published-development-key\0"), id="development key with an ending"),
        pytest.param(encoded(hashlib.sha1(b"secret").digest() * 2), id="short digest twice"),
        pytest.param("k1:PUT-YOUR-KEY-HERE-PUT-YOUR-KEY-HERE-PUT-YOUR-KEY-00", id="another placeholder"),
    ],
)
def test_a_key_that_is_no_secret_is_refused(text: str) -> None:
    """The sentence names the key's id and a command, and does not repeat the key."""
    with pytest.raises(InvalidKeyError, match=r"'k1'.*openssl rand -base64 32") as refused:
        Settings.from_env({"KALLBACK_KEYS": text})
    assert text[3:] not in str(refused.value)


def test_each_key_of_a_ring_is_checked() -> None:
    """A weak key that only verifies lets forgers in as well as one that signs."""
    good = encoded(random.Random(1).randbytes(32))
    with pytest.raises(InvalidKeyError, match="'old'"):
        Settings.from_env({"KALLBACK_KEYS": f"{good},old:{base64.b64encode(bytes(32)).decode()}"})


def test_one_secret_under_two_ids_is_refused() -> None:
    """A rotation to it would change nothing; the spelling of the base64 does not hide it."""
    key = random.Random(1).randbytes(32)
    again = f"k2:{base64.urlsafe_b64encode(key).decode().rstrip('=')}"
    with pytest.raises(InvalidKeyError, match=r"'k1' and 'k2' are the same secret.*openssl rand -base64 32"):
        Settings.from_env({"KALLBACK_KEYS": f"{encoded(key)},{again}"})


@pytest.mark.parametrize("size", [32, 33, 48, 64])
def test_random_keys_pass(size: int) -> None:
    """Keys as `openssl rand -base64`, `-hex` and both in turn make them, thousands of each."""
    source = random.Random(size)
    for _ in range(5000):
        key, second, third, fourth = (source.randbytes(size) for _ in range(4))
        urlsafe = base64.urlsafe_b64encode(second).decode().rstrip("=")
        hexadecimal = base64.b64encode(f"{third.hex()}\n".encode()).decode()
        Settings.from_env({"KALLBACK_KEYS": f"{encoded(key)},u:{urlsafe},h:{hexadecimal},x:{fourth.hex()}"})
