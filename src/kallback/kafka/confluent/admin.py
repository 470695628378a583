"""Admin clients of librdkafka: each is closed by its owner, in a thread of ours.

confluent-kafka completes an admin client's futures in a thread of that client. Python's garbage collector may run
there, and if it collects that very client, librdkafka ends the process: "rd_kafka_destroy() called from librdkafka
owned thread" (confluent-kafka-python, pull request 2131). Therefore open clients are held here: they are no garbage.
When Python ends, an answer in such a thread would call what is gone, so clients that are open then are closed first.

Ownership: whoever opens a client closes it, and makes no call of it at that time or later.
"""

# confluent_kafka.admin re-exports without saying so:
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Any, Final, cast

from kallback.kafka.confluent.client import ClientErrors, build, confluent_config, first_contact

from confluent_kafka.admin import AdminClient  # isort: skip - the check comes first

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Sequence

    from kallback.settings import KafkaSettings

_open: Final = set[AdminClient]()


@atexit.register
def _close_all() -> None:
    """Python has joined the threads that use clients: it calls this after that."""
    for admin in list(_open):
        close_admin(admin)


def open_admin(settings: KafkaSettings, errors: ClientErrors) -> AdminClient:
    """Make an admin client that tells its errors there; nothing is contacted yet.

    Raises:
        ConfigurationError: librdkafka refuses an option, or cannot read a file.
    """
    admin = build(
        lambda it: AdminClient(it | {"error_cb": cast("Any", errors)}),
        confluent_config(settings, {}),
    )
    _open.add(admin)
    return admin


def close_admin(admin: AdminClient) -> None:
    """Close an admin client; its unanswered futures stay so. Blocks until its threads have ended, a moment."""
    try:
        admin.__exit__(None, None, None)
    finally:
        _open.discard(admin)


@contextlib.contextmanager
def connected(
    settings: KafkaSettings, names: Sequence[str] = (), abandoned: threading.Event | None = None
) -> Generator[AdminClient]:
    """An admin client that has reached a broker, and these topics, closed in the end; blocks, see `first_contact`."""
    errors = ClientErrors(settings)
    admin = open_admin(settings, errors)
    try:
        first_contact(admin, settings, errors, topics=names, abandoned=abandoned)
        yield admin
    finally:
        close_admin(admin)
