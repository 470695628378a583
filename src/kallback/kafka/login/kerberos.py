"""What GSSAPI needs beyond the Kafka clients' wheels, in one sentence each."""

from __future__ import annotations

from typing import Final

from kallback.protocol.errors import MissingExtraError

_TICKET: Final = "the ticket is that of the process's environment (kinit, or a keytab in KRB5_CLIENT_KTNAME)"


def missing_gssapi() -> MissingExtraError:
    """Return the error of aiokafka without the Kerberos library."""
    return MissingExtraError(
        "GSSAPI with client aiokafka needs the package gssapi, which is built on MIT Kerberos: apt install "
        f"libkrb5-dev, then pip install gssapi; {_TICKET}"
    )


def librdkafka_without_gssapi() -> MissingExtraError:
    """Return the error of a librdkafka that was built without Kerberos, as the one in confluent-kafka's wheels is."""
    return MissingExtraError(
        "GSSAPI is not in this librdkafka: the wheels of confluent-kafka come without it. Build librdkafka with "
        "libsasl2-dev, then pip install --no-binary confluent-kafka confluent-kafka; or use --client aiokafka, for "
        "bridges and workers"
    )
