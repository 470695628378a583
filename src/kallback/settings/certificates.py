"""Why a server's certificate is refused, and what to change: for Kafka, Restate and token endpoints alike. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

_STRICT: Final = range(79, 94)  # OpenSSL's verification errors of VERIFY_X509_STRICT, such as 92: CA without key usage
_OUT_OF_DATE: Final = frozenset({9, 10})  # likewise: not yet valid, expired
_OTHER_NAME: Final = frozenset({62, 64})  # likewise: of another host name, of another IP address


def refusal_with_its_own_remedy(
    error: ssl.SSLCertVerificationError, server: str, *, certificate: str, ca_variable: str, address_variable: str
) -> str | None:
    """Return the sentence for a certificate that is refused though its authority may be the right one.

    Args:
        error: what Python's TLS says.
        server: what to call the server: `broker`.
        certificate: what to call its certificate.
        ca_variable: the setting with the authority.
        address_variable: the setting with the server's address.

    Returns:
        None: the authority is not known; setting another one helps.
    """
    words = words_of(error)
    if error.verify_code in _STRICT:
        return (
            f"Python 3.13 and later refuse {certificate} ({words}): issue the authority in {ca_variable} again with a "
            f"key usage extension (keyCertSign), and the {server}'s certificate with key identifiers; "
            "deploy/certificates.sh shows how"
        )
    if error.verify_code in _OUT_OF_DATE:
        return (
            f"{certificate}, or that of its authority, is out of date ({words}): have it renewed on the {server}, and "
            "compare the clock of this machine"
        )
    if error.verify_code in _OTHER_NAME:
        return (
            f"{certificate} is for other names ({words}): set {address_variable} to a name that is in it, or have the "
            "name added to the certificate"
        )
    return None


def words_of(error: ssl.SSLCertVerificationError) -> str:
    """Return OpenSSL's words, which end a clause."""
    return (error.verify_message or str(error)).rstrip(".")
