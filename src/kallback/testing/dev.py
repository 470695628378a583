"""`kallback dev`: a stack to try things on, with kallback's topics and a signing key of its own.

It prints what to export, waits for Ctrl-C or SIGTERM, and says what it stops.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import shlex
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from kallback.kafka import create_topics
from kallback.kafka.topics import TopicLayout
from kallback.settings import KafkaSettings, Topics
from kallback.testing.servers.embedded_kafka import EmbeddedKafka
from kallback.testing.stack import KafkaOptions, RestateOptions, Stack, start_stack
from kallback.testing.topics import TopicFactory

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

_KEY_BYTES = 32
_QUICKSTART = """
Then, in examples/quickstart, each in a terminal of its own:

kallback topics create restaurant.prepare && kallback bridge
kallback worker worker:worker
hypercorn handler:app

and, once:

curl {admin}/deployments --json '{{"uri": "http://127.0.0.1:8000"}}'
curl {ingress}/Orders/place --json '"Pizza"'
"""


def run_dev(
    kafka: KafkaOptions | None = None,
    restate: RestateOptions | None = None,
    *,
    topics: Topics | None = None,
    out: TextIO = sys.stdout,
    end: threading.Event | None = None,
) -> None:
    """Run the stack until Ctrl-C, SIGTERM or `end`; call it in the main thread.

    Raises:
        NoServerError: a server cannot be had here; the sentence names what to install.
        ServerStartError: a server does not come up.
    """
    finish = end or threading.Event()
    _say(out, "Starting Kafka and Restate (the first time they are downloaded) ...")
    with start_stack(kafka, restate) as stack:
        names = topics or Topics()
        _make_topics(stack, names)
        with _signals_set(finish):
            _announce(stack, names, out)
            finish.wait()
        _say(out, f"\nStopping what was started here:\n  {stack.kafka.description}\n  {stack.restate.description}")
    _say(out, "Stopped.")


def _make_topics(stack: Stack, topics: Topics) -> None:
    """As `kallback topics create` would; the embedded broker knows no options of topics."""
    if isinstance(stack.kafka, EmbeddedKafka):
        TopicFactory(stack.kafka).make(topics.all())
        return
    asyncio.run(create_topics(KafkaSettings(stack.bootstrap_servers), TopicLayout().specs(topics)))


def environment_lines(stack: Stack, topics: Topics) -> dict[str, str]:
    """Return the variables that point kallback at this stack, with a fresh signing key."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode().rstrip("=")
    lines = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
        "KALLBACK_KEYS": f"k1:{key}",
    }
    if topics.prefix != Topics().prefix:
        lines["KALLBACK_TOPICS_PREFIX"] = topics.prefix
    return lines


def _announce(stack: Stack, topics: Topics, out: TextIO) -> None:
    _say(out, f"{stack.kafka.description}\n{stack.restate.description}\nTopics: {', '.join(topics.all())}")
    _say(out, "\nIn other terminals:\n")
    for name, value in environment_lines(stack, topics).items():
        _say(out, f"export {name}={shlex.quote(value)}")
    _say(out, _QUICKSTART.format(admin=stack.admin_url, ingress=stack.ingress_url))
    _say(out, "The key is for this run only. Ctrl-C stops both servers and removes their data.")


def _say(out: TextIO, text: str) -> None:
    print(text, file=out, flush=True)


@contextmanager
def _signals_set(finish: threading.Event) -> Generator[None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        finish.set()

    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
