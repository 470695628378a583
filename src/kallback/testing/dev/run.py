"""`kallback dev`: a local Kafka and Restate with kallback's topics, a gateway and the console, and an application.

It prints what to export and what to type next, waits for Ctrl-C or SIGTERM, and says what it stops. An application's
programs start anew when one of its files changes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from kallback.kafka import create_topics, list_topics, sees_groups
from kallback.kafka.topics import TopicLayout
from kallback.operations.readers import task_topics
from kallback.protocol import KallbackError
from kallback.protocol.service_names import service_names
from kallback.settings import KafkaSettings, Topics
from kallback.testing.dev.announcement import Announcement, announcement, ending, environment_lines, what_to_type
from kallback.testing.dev.environment import PortChooser, ignored_settings, without_settings
from kallback.testing.dev.output import ProgramOutput
from kallback.testing.dev.program_group import ProgramGroup
from kallback.testing.dev.programs import Application, Program, ProgramSettings, asked_ports, programs
from kallback.testing.dev.servers import DevServers, server_ports, start_servers
from kallback.testing.dev.task_topics import create_task_topics
from kallback.testing.dev.typed_lines import TypedLines, restart_wanted, starts_again, usage
from kallback.testing.servers.embedded_kafka import EmbeddedKafka
from kallback.testing.software.progress import DownloadProgress
from kallback.testing.stack import KafkaOptions, RestateOptions, Stack
from kallback.testing.topics import TopicFactory

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from types import FrameType

_LOOK_S: Final = 0.2


def run_dev(  # noqa: PLR0913 - what the options of the command say
    kafka: KafkaOptions | None = None,
    restate: RestateOptions | None = None,
    *,
    topics: Topics | None = None,
    application: Application | None = None,
    data: Path | None = None,
    console_port: int | None = None,
    gateway_port: int | None = None,
    bridge_health_port: int | None = None,
    gateway_health_port: int | None = None,
    processes: Sequence[str] = (),
    out: TextIO = sys.stdout,
    typed: TextIO | None = None,
    end: threading.Event | None = None,
) -> None:
    """Run the stack until Ctrl-C, SIGTERM or `end`; call it in the main thread.

    Args:
        kafka: which Kafka to use, or how to start one.
        restate: which Restate to use, or how to start one.
        topics: names of kallback's topics.
        application: programs of the current directory, which run beside the servers; by default none.
        data: directory that keeps data, ports and signing key for the next run; by default they end with this one.
        console_port: where the console listens; default 8091, or a free port if that is taken.
        gateway_port: where the gateway listens; default 8090, or a free port if that is taken.
        bridge_health_port: health port of the bridge; default 9464, or a free port if that is taken.
        gateway_health_port: health port of the gateway; default 9466, or a free port if that is taken.
        processes: addresses of further health ports that the console shows.
        out: where to print.
        typed: where lines such as `r` come from, if it is a terminal or a pipe; by default the standard input.
        end: set by another thread, it ends the stack.

    Raises:
        ConfigurationError: an option cannot be used.
        NoServerError: this machine cannot run a server; the sentence names what to install.
        ServerStartError: a server does not start.
    """
    finish, progress, names = end or threading.Event(), DownloadProgress(out), topics or Topics()
    runs = application or Application()
    lines = TypedLines(sys.stdin if typed is None else typed)
    wanted = {
        "console": console_port,
        "gateway": gateway_port,
        "bridge health": bridge_health_port,
        "gateway health": gateway_health_port,
    }
    asked = {name: port for name, port in wanted.items() if port is not None}
    ports = PortChooser([*asked.values(), *asked_ports(runs)])
    progress.say("Starting Kafka and Restate ...")
    with start_servers(kafka or KafkaOptions(), restate or RestateOptions(), data, progress) as servers:
        _create_topics(servers.stack, names)
        variables = environment_lines(servers, names)
        settings = ProgramSettings(
            variables,
            ports.choose,
            asked,
            servers.state.ports,
            tuple(processes),
            creates_topics=not isinstance(servers.stack.kafka, EmbeddedKafka),
        )
        planned = programs(runs, settings)
        if ignored := ignored_settings(os.environ, (each.env for each in planned)):
            progress.say(ignored)
        servers.keep_ports(
            server_ports(servers.stack) | {name: port for each in planned for name, port in each.ports().items()}
        )
        for each in planned:
            if warning := each.moved_from(servers.state.ports):
                progress.say(warning)
        with _signals_set(finish):
            output = ProgramOutput(out, [each.name for each in planned])
            _run_programs(servers, names, runs, planned, output, lines, finish)
        stack = servers.stack
        progress.say(f"\nStopping what was started here:\n  {stack.kafka.description}\n  {stack.restate.description}")
    progress.say("Stopped.")


def _run_programs(
    servers: DevServers,
    topics: Topics,
    application: Application,
    planned: list[Program],
    output: ProgramOutput,
    typed: TypedLines,
    finish: threading.Event,
) -> None:
    names = [each.name for each in planned]
    environ, variables = without_settings(os.environ), environment_lines(servers, topics)
    group = ProgramGroup(
        planned,
        output,
        environ,
        admin_url=servers.stack.admin_url,
        own_services=frozenset(msgspec.structs.astuple(service_names(topics.results))),
        end=finish,
        starts_again=starts_again(watched=any(each.reloads for each in planned), typed=typed.is_open),
    )

    def create_missing_topics() -> None:
        if not isinstance(servers.stack.kafka, EmbeddedKafka):
            for line in create_task_topics(application.types, {**environ, **variables}):
                output.write("topics", line)

    try:
        create_missing_topics()
        group.start()
        group.report_ended()
        if not finish.is_set():
            urls = {each.name: each.url for each in planned if group.is_running(each.name)}
            tasks = _task_topics(servers.stack, topics)
            told = Announcement(variables, urls.get("gateway"), urls.get("console"), tasks)
            handlers = tuple(path for found in group.handlers.values() for path in found)
            output.say(announcement(servers, topics, told))
            output.say(what_to_type(servers, handlers if application.runs else None))
            output.say("\n".join([*told.links(), "", ending(servers), *([usage(names)] if typed.is_open else [])]))
        for changed in _changes(planned, finish, application.exclude):
            if changed:
                output.say(f"** {_named(changed)} changed")
                group.restart()
                create_missing_topics()
            for line in typed.read():
                wanted = restart_wanted(line, names)
                if wanted is None:
                    output.say(usage(names))
                else:
                    group.restart(wanted)
            group.report_ended()
    finally:
        group.stop()


def _changes(planned: Iterable[Program], finish: threading.Event, exclude: Sequence[str]) -> Iterator[list[str]]:
    """What changed, again and again; nothing is watched for programs that no change concerns."""
    if any(each.reloads for each in planned):
        from kallback.testing.dev.changes import changes  # noqa: PLC0415 - needs the extra `dev`

        yield from changes(Path.cwd(), finish, exclude)
    while not finish.wait(_LOOK_S):
        yield []


def _named(changed: list[str]) -> str:
    names = [os.path.relpath(each) for each in changed]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _task_topics(stack: Stack, topics: Topics) -> tuple[str, ...]:
    """Those that the programs have made, and those of earlier runs with the same data."""
    try:
        found = asyncio.run(list_topics(KafkaSettings(stack.bootstrap_servers)))
    except KallbackError:  # the programs that need Kafka say why it does not answer
        return ()
    return tuple(task_topics(found, topics))


def _create_topics(stack: Stack, topics: Topics) -> None:
    """Do what `kallback topics create` does; the embedded broker knows no options of topics."""
    if isinstance(stack.kafka, EmbeddedKafka):
        TopicFactory(stack.kafka).make(topics.all())
        return
    asyncio.run(_prepare(KafkaSettings(stack.bootstrap_servers), topics))


async def _prepare(settings: KafkaSettings, topics: Topics) -> None:
    await create_topics(settings, TopicLayout().specs(topics))
    await sees_groups(settings)  # has Kafka make the topic of committed offsets, whose absence clients log as an error


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
