"""What a bridge is put together from; tests put in fakes, the command another completer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from kallback.bridge.completers.base import Completer
from kallback.bridge.completers.ingress import IngressCompleter
from kallback.bridge.completers.notifier import NotifierCompleter
from kallback.bridge.context import Clocks
from kallback.bridge.options import BridgeOptions, CompleterName
from kallback.bridge.pipeline.late_sender import HandlerClient, IngressHandlerClient
from kallback.bridge.progress.monitor_client import IngressMonitorClient, MonitorClient
from kallback.bridge.restate.compatibility import RestateCheck
from kallback.kafka import (
    ConfluentConsumer,
    ConfluentEndOffsets,
    ConfluentProducer,
    Consumer,
    EndOffsets,
    Producer,
    check_topics,
)
from kallback.lifecycle import LogThrottle
from kallback.settings import KafkaSettings, Settings


def chosen_completer(settings: Settings, options: BridgeOptions) -> Completer:
    """The completer that the options name."""
    if options.completer is CompleterName.NOTIFIER:
        return NotifierCompleter(settings.restate)
    return IngressCompleter(settings.restate, connections=options.concurrency)


def confluent_consumer(settings: Settings, options: BridgeOptions) -> Consumer:
    """Read results with librdkafka."""
    results = settings.topics.results
    return ConfluentConsumer(settings.kafka, [results], options.group_for(results), options=options.for_consumer())


def confluent_progress_consumer(settings: Settings, options: BridgeOptions) -> Consumer:
    """Read progress with librdkafka."""
    group = options.progress_group_for(settings.topics.results)
    return ConfluentConsumer(settings.kafka, [settings.topics.progress], group, options=options.for_consumer())


def confluent_end_offsets(settings: Settings) -> EndOffsets:
    """Ask with librdkafka where topics end."""
    return ConfluentEndOffsets(settings.kafka)


def ingress_monitor_client(settings: Settings) -> MonitorClient:
    """Tell those who watch over tasks through HTTP ingress."""
    return IngressMonitorClient(settings.restate)


def confluent_producer(settings: Settings) -> Producer:
    """Write dead letters and outcomes with librdkafka."""
    return ConfluentProducer(settings.kafka)


def ingress_handler_client(settings: Settings) -> HandlerClient:
    """Hand late results over through HTTP ingress."""
    return IngressHandlerClient(settings.restate)


async def look_at_restate(settings: Settings, log: LogThrottle) -> None:
    """See `RestateCheck`."""
    await RestateCheck(settings.restate, log).look()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Makers of what touches the world.

    Attributes:
        completer: hands completions to Restate.
        consumer: reads results; made anew when one breaks down.
        producer: writes dead letters and outcome records.
        check_topics: raises `MissingTopicError` for a topic that does not exist.
        check_restate: raises `UnsupportedServerError` for a Restate that is too old.
        handlers: hands late results to Restate handlers.
        progress_consumer: reads progress; made anew when one breaks down.
        end_offsets: asks Kafka where topics end.
        monitor_client: tells Restate's services that watch over tasks.
        clocks: time and chance.
    """

    completer: Callable[[Settings, BridgeOptions], Completer] = chosen_completer
    consumer: Callable[[Settings, BridgeOptions], Consumer] = confluent_consumer
    producer: Callable[[Settings], Producer] = confluent_producer
    check_topics: Callable[[KafkaSettings, Sequence[str]], Awaitable[None]] = check_topics
    check_restate: Callable[[Settings, LogThrottle], Awaitable[None]] = look_at_restate
    handlers: Callable[[Settings], HandlerClient] = ingress_handler_client
    progress_consumer: Callable[[Settings, BridgeOptions], Consumer] = confluent_progress_consumer
    end_offsets: Callable[[Settings], EndOffsets] = confluent_end_offsets
    monitor_client: Callable[[Settings], MonitorClient] = ingress_monitor_client
    clocks: Clocks = field(default_factory=Clocks)
