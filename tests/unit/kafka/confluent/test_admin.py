"""Admin clients are closed by their owners, never by Python's garbage collector."""

from __future__ import annotations

import gc
import weakref

import pytest
from confluent_kafka.admin import AdminClient

from kallback.kafka.confluent import admin
from kallback.kafka.confluent.client import ClientErrors
from kallback.protocol.errors import KafkaUnavailableError
from kallback.settings import KafkaSettings

NOBODY = KafkaSettings("127.0.0.1:1", connect_timeout=0.2)


class Owner:
    """Somebody who is garbage and has forgotten to close."""

    def __init__(self) -> None:
        self.itself = self
        self.admin = admin.open_admin(NOBODY, ClientErrors(NOBODY))


def test_an_open_client_is_no_garbage_and_a_closed_one_is() -> None:
    """The collector may run in the client's own thread, where librdkafka ends the process."""
    client = weakref.ref(Owner().admin)
    gc.collect()
    still_open = client()
    assert still_open is not None
    admin.close_admin(still_open)
    del still_open
    gc.collect()
    assert client() is None


def test_a_client_that_reaches_nobody_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller has nothing that it could close."""
    closed = list[AdminClient]()
    monkeypatch.setattr(admin, "close_admin", closed.append)
    with pytest.raises(KafkaUnavailableError), admin.connected(NOBODY):
        pass
    monkeypatch.undo()
    (client,) = closed
    admin.close_admin(client)
