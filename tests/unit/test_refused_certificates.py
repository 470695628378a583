"""What is said of a server's certificate that is refused: the same for Restate's addresses and for token endpoints."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import SimpleNamespace
from typing import Never
from urllib.error import URLError

import pytest

from kallback.bridge.restate.origin import untrusted
from kallback.kafka.login import token_endpoint
from kallback.protocol.errors import KallbackError
from kallback.settings import OAuthSettings, Secret


def of_restate(error: ssl.SSLCertVerificationError, _: pytest.MonkeyPatch) -> KallbackError:
    """What bridges and commands say."""
    return untrusted("https://restate:8080", error)


def of_a_token_endpoint(error: ssl.SSLCertVerificationError, monkeypatch: pytest.MonkeyPatch) -> KallbackError:
    """What everything says that logs in with access tokens."""

    def refuse(*_: object, **__: object) -> Never:
        raise URLError(error)

    monkeypatch.setattr(token_endpoint, "_opener", lambda *_: SimpleNamespace(open=refuse))
    settings = OAuthSettings(token_url="https://login/token", client_id="kitchen", client_secret=Secret("hush"))
    with pytest.raises(KallbackError) as caught:
        token_endpoint.fetch_token(settings)
    return caught.value


@pytest.mark.parametrize("server", [of_restate, of_a_token_endpoint])
@pytest.mark.parametrize(
    ("code", "words", "remedy", "names_the_authority"),
    [
        (10, "certificate has expired", "have it renewed on the", False),
        (9, "certificate is not yet valid", "compare the clock", False),
        (62, "Hostname mismatch, certificate is not valid for 'k'.", "to a name that is in it", False),
        (64, "IP address mismatch, certificate is not valid for '10.0.0.1'.", "to a name that is in it", False),
        (92, "CA cert does not include key usage extension", "issue the authority in KALLBACK_", True),
        (19, "self-signed certificate in certificate chain", "to the PEM file of the authority", True),
    ],
)
def test_a_refused_certificate_names_its_own_remedy(
    server: Callable[[ssl.SSLCertVerificationError, pytest.MonkeyPatch], KallbackError],
    code: int,
    words: str,
    remedy: str,
    names_the_authority: bool,  # noqa: FBT001 - of the table
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An authority that is set already helps only where it is not the right one."""
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, words
    said = str(server(error, monkeypatch))
    assert words.rstrip(".") in said
    assert remedy in said
    assert ("CA_FILE" in said) is names_the_authority
