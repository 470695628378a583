"""Admin clients are closed by their owners or at the end of Python, never by Python's garbage collector."""

from __future__ import annotations

import gc
import subprocess
import sys
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


FORGETFUL = """
import ctypes, socket, sys
from confluent_kafka import TopicCollection
from kallback.kafka.confluent.admin import open_admin
from kallback.kafka.confluent.client import ClientErrors
from kallback.settings import KafkaSettings

silent = socket.create_server(("127.0.0.1", 0))
settings = KafkaSettings("127.0.0.1:%d" % silent.getsockname()[1])
admin = open_admin(settings, ClientErrors(settings))
ctypes.pythonapi.Py_IncRef(ctypes.py_object(admin))  # as of a thread that the end of Python interrupts
admin.describe_topics(TopicCollection(["any"]), request_timeout=1.0)
libc = ctypes.CDLL(None)
libc.on_exit(libc.sleep, None)  # for as many seconds as the exit status says, after the end of Python
sys.exit(2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="on_exit is a function of glibc")
def test_a_client_that_is_open_when_python_ends_is_closed_before() -> None:
    """Its answer, here that Kafka is silent, would come in a thread that finds no Python, and crash."""
    ended = subprocess.run([sys.executable, "-c", FORGETFUL], check=False, capture_output=True, timeout=60)
    assert ended.returncode == 2
