"""`kallback dev`: a local Kafka and Restate, with kallback's topics, a signing key of its own, console and gateway.

It prints what to export and what to type next, waits for Ctrl-C or SIGTERM, and says what it stops.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import shlex
import shutil
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from kallback.kafka import create_topics
from kallback.kafka.topics import TopicLayout
from kallback.settings import KafkaSettings, Topics
from kallback.testing.dev_processes import chosen_port, ignored_settings, running
from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError
from kallback.testing.next_steps import next_steps
from kallback.testing.prepare import make_class_archive
from kallback.testing.servers.embedded_kafka import EmbeddedKafka
from kallback.testing.software.kafka import find_kafka
from kallback.testing.software.progress import DownloadProgress
from kallback.testing.stack import KafkaOptions, RestateOptions, Stack, start_stack
from kallback.testing.topics import TopicFactory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from types import FrameType

EXAMPLE_FILES: Final = ("shared.py", "handler.py", "worker.py")
_EXAMPLE_TOPIC: Final = "restaurant.prepare"
_KEYS: Final = "KALLBACK_KEYS"
_KEY_BYTES: Final = 32
_GATEWAY_PORT: Final = 8090
_CONSOLE_PORT: Final = 8091


def run_dev(  # noqa: PLR0913 - what the options of the command say
    kafka: KafkaOptions | None = None,
    restate: RestateOptions | None = None,
    *,
    topics: Topics | None = None,
    example: Path | None = None,
    console_port: int | None = None,
    gateway_port: int | None = None,
    processes: Sequence[str] = (),
    out: TextIO = sys.stdout,
    end: threading.Event | None = None,
) -> None:
    """Run the stack until Ctrl-C, SIGTERM or `end`; call it in the main thread.

    Args:
        kafka: which Kafka to use, or how to start one.
        restate: which Restate to use, or how to start one.
        topics: names of kallback's topics.
        example: write the three files of the README's example into this folder, and create their topic.
        console_port: where the console listens; default 8091, or a free port if that is taken.
        gateway_port: where the gateway listens; default 8090, or a free port if that is taken.
        processes: addresses of health ports that the console shows.
        out: where to print.
        end: set by another thread, it ends the stack.

    Raises:
        NoServerError: this machine cannot run a server; the sentence names what to install.
        ServerStartError: a server does not start.
    """
    finish, progress, names = end or threading.Event(), DownloadProgress(out), topics or Topics()
    if example is not None:
        progress.say(write_example(example))
    progress.say("Starting Kafka and Restate ...")
    _speed_up_kafka(kafka or KafkaOptions(), progress)
    with start_stack(kafka, restate, progress=progress) as stack:
        _create_topics(stack, names, (_EXAMPLE_TOPIC,) if example else ())
        variables = environment_lines(stack, names)
        if ignored := ignored_settings(os.environ, variables):
            progress.say(ignored)
        gateway = chosen_port(gateway_port, _GATEWAY_PORT, besides=console_port)
        console = chosen_port(console_port, _CONSOLE_PORT, besides=gateway)
        shown = [f"--process={address}" for address in processes]
        with (
            _signals_set(finish),
            running("gateway", gateway, env=variables, progress=progress) as gateway_url,
            running("console", console, "--allow-changes", *shown, env=variables, progress=progress) as console_url,
        ):
            _announce(stack, names, progress, Announcement(variables, gateway_url, console_url, example))
            finish.wait()
        progress.say(f"\nStopping what was started here:\n  {stack.kafka.description}\n  {stack.restate.description}")
    progress.say("Stopped.")


def write_example(folder: Path) -> str:
    """Write the example's files, leaving those that exist as they are; return what became of them in a sentence."""
    folder.mkdir(parents=True, exist_ok=True)
    new = [name for name in EXAMPLE_FILES if not (folder / name).exists()]
    for name in new:
        shutil.copyfile(_example_folder() / name, folder / name)
    kept = [name for name in EXAMPLE_FILES if name not in new]
    sentences = (f"Wrote {', '.join(new)} to {folder}." if new else "", f"Kept {', '.join(kept)}." if kept else "")
    return " ".join(filter(None, sentences))


def _example_folder() -> Path:
    """The wheel carries the example; a checkout has it at its top."""
    here = Path(__file__).parent
    in_wheel = here / "quickstart"
    return in_wheel if in_wheel.is_dir() else here.parents[2] / "examples" / "quickstart"


def _speed_up_kafka(options: KafkaOptions, progress: DownloadProgress) -> None:
    """The first time, make the class archive that halves each later start of a local Kafka."""
    environment = ServerEnvironment.read()
    if environment.servers is ServerKind.LOCAL and not (options.bootstrap_servers or environment.kafka):
        with suppress(NoServerError):  # start_stack takes another Kafka, or says why there is none
            make_class_archive(find_kafka(environment, progress), progress)


def _create_topics(stack: Stack, topics: Topics, tasks: tuple[str, ...]) -> None:
    """Do what `kallback topics create` does; the embedded broker knows no options of topics."""
    if isinstance(stack.kafka, EmbeddedKafka):
        TopicFactory(stack.kafka).make([*topics.all(), *tasks])
        return
    asyncio.run(create_topics(KafkaSettings(stack.bootstrap_servers), TopicLayout().specs(topics, tasks)))


def environment_lines(stack: Stack, topics: Topics) -> dict[str, str]:
    """Return the variables that point kallback at this stack, with a fresh signing key."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode().rstrip("=")
    lines = {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
        _KEYS: f"k1:{key}",
    }
    if topics.prefix != Topics().prefix:
        lines["KALLBACK_TOPICS_PREFIX"] = topics.prefix
    return lines


@dataclass(frozen=True, slots=True)
class Announcement:
    """What users of a running stack are told.

    Attributes:
        variables: to export.
        gateway_url: None if there is no gateway.
        console_url: None if there is no console.
        example: the folder of the example; None without one.
    """

    variables: Mapping[str, str]
    gateway_url: str | None
    console_url: str | None
    example: Path | None

    def exports(self) -> Iterator[str]:
        """The lines to type in another terminal; what workers need not have comes last."""
        for name, value in self.variables.items():
            if name != _KEYS:
                yield f"export {name}={shlex.quote(value)}"
        yield "# for all but workers:"
        yield f"export {_KEYS}={shlex.quote(self.variables[_KEYS])}"
        if self.gateway_url is not None:
            yield f"export KALLBACK_GATEWAY_URL={shlex.quote(self.gateway_url)}"


def _announce(stack: Stack, topics: Topics, progress: DownloadProgress, told: Announcement) -> None:
    progress.say(f"{stack.kafka.description}\n{stack.restate.description}\nTopics: {', '.join(topics.all())}")
    progress.say("\nIn each other terminal, first:\n")
    activate = activation()
    if activate is not None:
        progress.say(activate)
    progress.say("\n".join(told.exports()))
    progress.say(next_steps(stack.admin_url, stack.ingress_url, example=told.example, folder=Path.cwd()))
    if told.gateway_url is not None:
        progress.say(f"Links of approvals lead to the gateway: {told.gateway_url}")
    if told.console_url is not None:
        progress.say(f"Pending tasks, outcomes and dead letters in the web browser: {told.console_url}\n")
    progress.say("The key is for this run only. Ctrl-C stops everything and removes their data.")


def activation() -> str | None:
    """Return the command that makes `kallback` available in another terminal; None outside a virtual environment."""
    script = Path(sys.prefix) / "bin" / "activate"
    return None if sys.prefix == sys.base_prefix or not script.exists() else f"source {shlex.quote(os.fspath(script))}"


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
