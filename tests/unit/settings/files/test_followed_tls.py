"""TLS with files that are exchanged: each new connection uses what they hold now."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from kallback.protocol.errors import ConfigurationError
from kallback.settings.files.followed_tls import FollowedFiles
from kallback.testing.log_capture import capture_logs


class Files:
    """What a context is made of, and whether it was exchanged."""

    def __init__(self) -> None:
        self.content, self.exchanged = "the first", False

    def context(self) -> Any:
        """One that says what it was made of; half a file cannot be used."""
        if self.content == "half":
            raise ConfigurationError("a TLS file cannot be read")
        return Context(self.content)

    def changed(self) -> bool:
        """True once."""
        before, self.exchanged = self.exchanged, False
        return before

    def exchange(self, content: str) -> None:
        """Write another one."""
        self.content, self.exchanged = content, True


class Context:
    """Stands for a context of the `ssl` module."""

    def __init__(self, content: str) -> None:
        self._content = content

    def wrap_bio(self, *_: object) -> str:
        """What a connection is made with."""
        return self._content


def connected(context: ssl.SSLContext) -> object:
    """Begin a connection as asyncio does."""
    return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=False, server_hostname="kafka")


def test_a_new_connection_uses_the_files_of_now() -> None:
    """A context that is in use would go on trusting authorities that are gone."""
    files = Files()
    context = FollowedFiles([files.context], files.changed).contexts[0]
    assert connected(context) == "the first"
    files.exchange("the second")
    assert [connected(context), connected(context)] == ["the second", "the second"]


def test_files_that_cannot_be_used_leave_the_last_good_ones() -> None:
    """A line says so; the next change counts again."""
    files = Files()
    context = FollowedFiles([files.context], files.changed).contexts[0]
    files.exchange("half")
    with capture_logs("kallback.settings") as lines:
        assert connected(context) == "the first"
    assert [each["event"] for each in lines] == ["TLS files changed and cannot be used, the last ones are kept"]
    files.exchange("the second")
    assert connected(context) == "the second"


def test_files_that_cannot_be_used_at_the_start_are_refused() -> None:
    """With the sentence of whoever reads them."""
    files = Files()
    files.exchange("half")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        FollowedFiles([files.context], files.changed)


def test_contexts_of_the_same_files_change_together() -> None:
    """As those for two versions of HTTP: one line says it."""
    files = Files()
    first, second = FollowedFiles([files.context, files.context], files.changed).contexts
    files.exchange("the second")
    with capture_logs("kallback.settings") as lines:
        assert [connected(second), connected(first)] == ["the second"] * 2
    assert len(lines) == 1


def test_a_context_by_itself_trusts_nobody() -> None:
    """It stands for another one: what asks it otherwise must not connect to anything."""
    files = Files()
    context = FollowedFiles([files.context], files.changed).contexts[0]
    assert (context.verify_mode, context.check_hostname, context.get_ca_certs()) == (ssl.CERT_REQUIRED, True, [])
