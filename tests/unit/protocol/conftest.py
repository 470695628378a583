"""One token, its text and the keys that made it, for all tests of the wire."""

import base64

import pytest

from kallback.protocol import Attempt, Keyring, TaskId, Token, parse_awakeable_id

AUDIENCE = "kallback.results"


@pytest.fixture(scope="session")
def audience() -> str:
    """The results topic that tokens are made for."""
    return AUDIENCE


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    """Two keys, the first of which signs."""
    return Keyring({"k2": b"2" * 32, "k1": b"1" * 32})


@pytest.fixture(scope="session")
def token() -> Token:
    """A token with a deadline."""
    raw = bytes(range(100, 124)) + (17).to_bytes(4, "big")
    awakeable_id = parse_awakeable_id("sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("="))
    return Token("restaurant.prepare", TaskId("AAECAwQFBgcICQoL"), Attempt(3), awakeable_id, 1_767_225_600_000)


@pytest.fixture(scope="session")
def signed(keyring: Keyring, token: Token) -> str:
    """The token's text."""
    return keyring.sign(token, AUDIENCE)
