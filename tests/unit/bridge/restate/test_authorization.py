"""The token for Restate follows its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.bridge.restate.authorization import Authorization
from kallback.protocol import ConfigurationError
from kallback.settings import Secret
from kallback.settings.files.secret_file import SecretFile
from kallback.testing.log_capture import capture_logs


def test_without_a_token_there_is_no_header() -> None:
    """As for a Restate that is not protected."""
    assert Authorization(None).headers() == ()


def test_a_token_that_changes_counts_from_the_next_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no header may have is said, and the last one is kept."""
    monkeypatch.setattr("kallback.settings.files.secret_file._LOOK_INTERVAL_S", 0.0)
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text("old\n")
    authorization = Authorization(SecretFile("KALLBACK_RESTATE_AUTH_TOKEN_FILE", file))
    assert authorization.headers() == (("authorization", "Bearer old"),)
    file.write_text("newer\n")
    assert authorization.headers() == (("authorization", "Bearer newer"),)
    with capture_logs("kallback.bridge") as lines:
        file.write_text("two\nlines\n")
        assert [authorization.headers() for _ in range(3)] == [(("authorization", "Bearer newer"),)] * 3
    assert len(lines) == 1


def test_a_token_that_no_header_may_have_is_refused_at_the_start() -> None:
    """It would end the header."""
    with pytest.raises(ConfigurationError, match="KALLBACK_RESTATE_AUTH_TOKEN"):
        Authorization(Secret("two\nlines"))
