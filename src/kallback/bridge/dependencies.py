"""Makers of what touches the outside; tests replace them with fakes, the command selects another completer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kallback.bridge.completers.base import Completer
from kallback.bridge.completers.handlers import HandlerClient, IngressHandlerClient
from kallback.bridge.completers.ingress import IngressCompleter
from kallback.bridge.completers.notifier import NotifierCompleter
from kallback.bridge.context import Clocks
from kallback.bridge.options import BridgeOptions, CompleterName
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

_DELIVERY_TIMEOUT_S: Final = 5.0
"""Of dead letters and outcome records: they are written again after it, and a stop waits that long at most."""


def chosen_completer(settings: Settings, options: BridgeOptions) -> Completer:
    """Return the completer that the options name."""
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
    """Ask Kafka for the ends of topics with librdkafka."""
    return ConfluentEndOffsets(settings.kafka)


def ingress_monitor_client(settings: Settings) -> MonitorClient:
    """Call the monitoring services over HTTP ingress."""
    return IngressMonitorClient(settings.restate)


def confluent_producer(settings: Settings) -> Producer:
    """Write dead letters and outcome records with librdkafka."""
    timeout = min(settings.kafka.delivery_timeout, _DELIVERY_TIMEOUT_S)
    return ConfluentProducer(replace(settings.kafka, delivery_timeout=timeout))


def ingress_handler_client(settings: Settings) -> HandlerClient:
    """Send late results over HTTP ingress."""
    return IngressHandlerClient(settings.restate)


async def check_restate(settings: Settings, log: LogThrottle) -> None:
    """Check the ingress and the version; see `RestateCheck`."""
    await RestateCheck(settings.restate, log).check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Makers of what touches the outside.

    Attributes:
        completer: makes what hands completions to Restate.
        consumer: makes what reads results; called again when one cannot go on.
        producer: makes what writes dead letters and outcome records.
        check_topics: raises `MissingTopicError` for a topic that does not exist.
        check_restate: raises `UnsupportedServerError` for a Restate that is too old.
        handlers: makes what sends late results to Restate handlers.
        progress_consumer: makes what reads progress; called again when one cannot go on.
        end_offsets: makes what asks Kafka for the ends of topics.
        monitor_client: makes what calls Restate's monitoring services.
        clocks: time and randomness.
    """

    completer: Callable[[Settings, BridgeOptions], Completer] = chosen_completer
    consumer: Callable[[Settings, BridgeOptions], Consumer] = confluent_consumer
    producer: Callable[[Settings], Producer] = confluent_producer
    check_topics: Callable[[KafkaSettings, Sequence[str]], Awaitable[None]] = check_topics
    check_restate: Callable[[Settings, LogThrottle], Awaitable[None]] = check_restate
    handlers: Callable[[Settings], HandlerClient] = ingress_handler_client
    progress_consumer: Callable[[Settings, BridgeOptions], Consumer] = confluent_progress_consumer
    end_offsets: Callable[[Settings], EndOffsets] = confluent_end_offsets
    monitor_client: Callable[[Settings], MonitorClient] = ingress_monitor_client
    clocks: Clocks = field(default_factory=Clocks)
