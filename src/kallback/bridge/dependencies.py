"""Makers of what touches the outside; tests replace them with fakes, the command selects another completer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from kallback.bridge.restate.services import ServiceCheck, services_in_use
from kallback.bridge.service_watch import ServiceProbe
from kallback.kafka import KafkaClients, clients_of
from kallback.lifecycle import LogThrottle
from kallback.settings import Settings

_DELIVERY_TIMEOUT_S: Final = 5.0
"""Of dead letters and outcome records: they are written again after it, and a stop waits that long at most."""


def chosen_completer(settings: Settings, options: BridgeOptions) -> Completer:
    """Return the completer that the options name."""
    if options.completer is CompleterName.NOTIFIER:
        return NotifierCompleter(settings.restate, (settings.old_services or settings.services).notifier)
    return IngressCompleter(settings.restate, concurrency=options.concurrency)


def chosen_clients(settings: Settings, options: BridgeOptions) -> KafkaClients:
    """Return the makers of the Kafka clients that the options name."""
    timeout = min(settings.kafka.delivery_timeout, _DELIVERY_TIMEOUT_S)
    return clients_of(options.client, replace(settings.kafka, delivery_timeout=timeout))


def ingress_monitor_client(settings: Settings) -> MonitorClient:
    """Call the monitoring services over HTTP ingress."""
    return IngressMonitorClient(settings.restate, services_in_use(settings.services, settings.old_services))


def ingress_service_check(settings: Settings, options: BridgeOptions) -> ServiceProbe:
    """Ask the services that a bridge with these options calls, over HTTP ingress."""
    in_use = services_in_use(settings.services, settings.old_services)
    notifies = options.completer is CompleterName.NOTIFIER
    return ServiceCheck(
        settings.restate,
        settings.keys.require(),
        settings.keys.audience,
        monitors=[each.monitor for each in in_use] if options.progress else [],
        notifiers=[in_use[-1].notifier] if notifies else [],
        marks=settings.services.marks,
    )


def ingress_handler_client(settings: Settings) -> HandlerClient:
    """Send late results over HTTP ingress."""
    return IngressHandlerClient(settings.restate)


async def check_restate(settings: Settings, log: LogThrottle) -> bool:
    """Check the ingress and the version; see `RestateCheck`."""
    return await RestateCheck(settings.restate, log).check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """Makers of what touches the outside.

    Attributes:
        completer: makes what hands completions to Restate.
        kafka: makes what makes every Kafka client of the bridge.
        check_restate: returns whether Restate answers; raises `UnsupportedServerError` for one that is too old.
        handlers: makes what sends late results to Restate handlers.
        monitor_client: makes what calls Restate's monitoring services.
        service_check: makes what asks whether the services are this bridge's own.
        clocks: time and randomness.
    """

    completer: Callable[[Settings, BridgeOptions], Completer] = chosen_completer
    kafka: Callable[[Settings, BridgeOptions], KafkaClients] = chosen_clients
    check_restate: Callable[[Settings, LogThrottle], Awaitable[bool]] = check_restate
    handlers: Callable[[Settings], HandlerClient] = ingress_handler_client
    monitor_client: Callable[[Settings], MonitorClient] = ingress_monitor_client
    service_check: Callable[[Settings, BridgeOptions], ServiceProbe] = ingress_service_check
    clocks: Clocks = field(default_factory=Clocks)
