"""What can go wrong with a server for tests, or with a test that has none.

ConfigurationError
├── NoServerError         this server cannot be started here: install what the sentence names
├── NotOursError          a server given by its address cannot be killed from here
├── NotSimulatedError     a test without servers does not simulate this
└── StuckHandlerError     a handler waits for what can never happen
UnavailableError
└── ServerStartError      the server was found but did not start: the sentence has its last log lines
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.protocol.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path


class NoServerError(ConfigurationError):
    """No way to get this server on this machine; the sentence names what to install or to set."""


class ServerStartError(UnavailableError):
    """A server was started or addressed and does not answer.

    Attributes:
        has_log_lines: the sentence may be followed by lines of the server's log.
        log: the file from which they are; None if there are none.
    """

    has_log_lines: Final = True

    def __init__(self, sentence: str, log: Path | None = None) -> None:
        super().__init__(sentence)
        self.log: Final = log


class NotOursError(ConfigurationError):
    """A server that was given by its address cannot be killed or restarted from here."""


class NotSimulatedError(ConfigurationError):
    """A test without servers does not simulate this; the sentence says what to do instead."""


class StuckHandlerError(ConfigurationError):
    """A handler waits, and nothing can happen any more: no answer, no timer."""
