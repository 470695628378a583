"""`kallback worker MODULE:NAME`: one worker process."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

import click

from kallback import kafka
from kallback.cli.garbage import collect_garbage_seldom
from kallback.cli.help import TextCommand, argument, option_of
from kallback.cli.imports import TargetKind, is_made_by, load_target, needs_extra
from kallback.cli.logs import configure_logs
from kallback.cli.observing import health_host_option, health_port_option, otel_option, verbose_option
from kallback.cli.runner import serve
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings
from kallback.workers import Client, Worker

_kafka = option_of("Kafka")
_tasks = option_of("Tasks")


@click.command(cls=TextCommand)
@argument("target", metavar="MODULE:NAME", help="Module and name of a kallback.workers.Worker.")
@_kafka(
    "--client",
    type=click.Choice([each.value for each in Client]),
    help="Kafka client library. Default: the client that the worker was created with.",
)
@_kafka(
    "--instance-id",
    metavar="NAME",
    help="Stable, unique name of this process in its consumer group. Give one to all workers of a group or to none.",
)
@_kafka(
    "--session-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="After this time without a sign of life, Kafka gives the partitions of this worker to others. "
    "Default: 10 to 45, as long as it takes to notice a lost attempt; 45 without heartbeats.",
)
@_kafka(
    "--create-topics",
    is_flag=True,
    help="First create what is missing of kallback's topics and of those of its task types, as `kallback topics "
    "create` does by itself. For development.",
)
@_tasks(
    "--concurrency",
    type=click.IntRange(1),
    metavar="N",
    help="Tasks that run at once, in coroutines, threads and child processes together. Default: what the worker was "
    "created with, 16 unless it says otherwise. concurrency= of a task type lowers it for that type.",
)
@_tasks(
    "--drain-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Time that running tasks get to finish after SIGTERM. Default: what the worker was created with, 25 unless it "
    "says otherwise.",
)
@_tasks(
    "--fail-unknown-types",
    is_flag=True,
    help="Also fail the caller of a task whose type the worker does not know, at once. Without it, the task becomes a "
    "dead letter only, and its caller waits until the deadline. Not for topics that several groups read.",
)
@health_port_option
@health_host_option
@otel_option
@option_of("Health and tracing")(
    "--otel-link",
    is_flag=True,
    help="With --otel: each attempt begins a trace of its own, with a link to its caller's.",
)
@verbose_option
def worker(  # noqa: PLR0913 - one option each
    target: str,
    *,
    client: str | None,
    instance_id: str | None,
    session_timeout: float | None,
    create_topics: bool,
    concurrency: int | None,
    drain_timeout: float | None,
    fail_unknown_types: bool,
    health_port: int | None,
    health_host: str,
    otel: bool,
    otel_link: bool,
    verbose: bool,
) -> None:
    """Run a worker process.

    Python looks for MODULE in the current directory first. If kitchen.py contains `worker = Worker("kitchen")`, write
    kitchen:worker.

    SIGTERM or Ctrl-C drains: running tasks get time to finish. The others go on at another worker: those of types
    with heartbeats or a retry policy are handed back, and Kafka redelivers the rest. A second signal ends the process
    at once.

    Settings: KALLBACK_KAFKA_BOOTSTRAP_SERVERS and the other KALLBACK_KAFKA_* and KALLBACK_TOPICS_* variables.

    For example:

        kallback worker kitchen:worker
    """
    configure_logs(verbose=verbose)
    found = load_worker(target)
    if client is not None:
        found.use_client(Client(client))
    if instance_id is not None:
        found.use_instance_id(instance_id)
    if session_timeout is not None:
        found.use_session_timeout(session_timeout)
    if concurrency is not None:
        found.use_concurrency(concurrency)
    if drain_timeout is not None:
        found.use_drain_timeout(drain_timeout)
    if fail_unknown_types:
        found.use_failing_of_unknown_types()
    if create_topics:
        _create_topics(found)
    collect_garbage_seldom()
    serve(found, *_health(found, health_port, health_host), *_tracing(found, otel=otel, link=otel_link))


def _create_topics(worker: Worker) -> None:
    settings = Settings.from_env()
    specs = TopicLayout().specs(settings.topics, [each.topic for each in worker.task_types])
    asyncio.run(kafka.create_topics(settings.kafka, specs))


def _health(worker: Worker, port: int | None, host: str) -> list[AbstractAsyncContextManager[object]]:
    if port is None:
        return []
    with needs_extra("workers"):
        from kallback.workers.observability.health import WorkerHealthServer  # noqa: PLC0415 - costs memory, and is optional

    return [WorkerHealthServer(worker, port, host)]


def _tracing(worker: Worker, *, otel: bool, link: bool) -> list[AbstractAsyncContextManager[object]]:
    if not otel:
        if link:
            raise click.UsageError("--otel-link says how spans begin: give --otel, too")
        return []
    with needs_extra("otel"):
        from kallback.health.otlp import OtlpSpans  # noqa: PLC0415 - as above

    spans = OtlpSpans("kallback-worker")
    worker.use_tracing(spans.provider, "link" if link else "child")
    return [spans]


def load_worker(target: str) -> Worker:
    """Import the worker that MODULE:NAME names.

    Raises:
        ConfigurationError: the text has another shape, or there is no such module, name or worker.
    """
    found: Worker = load_target(target, _WORKER)
    return found


_WORKER: Final = TargetKind(
    accepts=lambda each: isinstance(each, Worker),
    what="a kallback.workers.Worker",
    example="kitchen:worker",
    other_command=lambda each: "service" if is_made_by(each, "restate") else None,
)
