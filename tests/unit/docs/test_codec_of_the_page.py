"""The codec on the page on bridges is one: application and bridge take it, and it decodes what it encodes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import restate
from tests.unit.docs.test_code_of_pages import blocks

from kallback.bridge.restate.value_codec import load_codec
from kallback.sdk import Callbacks
from kallback.settings import KeySettings, Settings


class Fernet:
    """In place of `cryptography.fernet.Fernet`, which the page lets its readers install."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def encrypt(self, data: bytes) -> bytes:
        """With the key in front."""
        return self._key + data

    def decrypt(self, token: bytes) -> bytes:
        """Refuse another key."""
        assert token.startswith(self._key)
        return token.removeprefix(self._key)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's file, imported."""
    (tmp_path / "journal.py").write_text(blocks("bridge")["journal.py"], "utf-8")
    fernet = ModuleType("cryptography.fernet")
    fernet.Fernet = Fernet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cryptography", ModuleType("cryptography"))
    monkeypatch.setitem(sys.modules, "cryptography.fernet", fernet)
    monkeypatch.setenv("JOURNAL_KEY", "key")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "journal", raising=False)
    made = importlib.import_module("journal")
    monkeypatch.setitem(sys.modules, "journal", made)  # gone at the end
    return made


async def test_the_codec_of_the_page_is_taken_and_returns_what_it_was_given(journal: ModuleType) -> None:
    """By the application and by the bridge; a value is not kept as it was, and empty bytes stay empty."""
    app = Callbacks(Settings(keys=KeySettings(insecure=True))).app(
        [restate.Service("orders")], journal_value_codec=journal.codec
    )
    assert callable(app)
    codec = await load_codec("journal:codec")
    assert codec is not None
    assert codec.encode(b"abc") != b"abc"
    assert await codec.decode(codec.encode(b"abc")) == b"abc"
    assert await codec.decode(b"") == b""
