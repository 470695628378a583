"""What can go wrong with a server for tests; two remedies, two leaves.

ConfigurationError
└── NoServerError         nothing here can play this server: install what the sentence names
UnavailableError
└── ServerStartError      the server was found but did not come up: its last log lines are in the sentence
"""

from __future__ import annotations

from kallback.protocol.errors import ConfigurationError, UnavailableError


class NoServerError(ConfigurationError):
    """No way to get this server on this machine; the sentence names what to install or to set."""


class ServerStartError(UnavailableError):
    """A server was started or addressed and does not answer."""


class NotOursError(ConfigurationError):
    """A server that was given by its address cannot be killed or restarted from here."""
