"""Makes kallback's own Restate services for one environment."""

from __future__ import annotations

from restate import Service, VirtualObject

from kallback.protocol import Keyring, ServiceNames
from kallback.sdk.journal.identity import Clock
from kallback.sdk.monitoring.consumed_marks import ConsumedMarks
from kallback.sdk.monitoring.service import TaskMonitor
from kallback.sdk.services.notifier import NotifierService
from kallback.settings import Settings


def own_services(
    settings: Settings, keyring: Keyring, *, clock: Clock, allow_bare_awakeables: bool
) -> list[Service | VirtualObject]:
    """`NotifierService`, `TaskMonitor` and `ConsumedMarks` under the names of this environment.

    With `RestateSettings.old_service_names` they are there a second time, under their plain names.
    """
    audience, topics = settings.keys.audience, (settings.topics.progress, *settings.topics.all_results)

    def named(names: ServiceNames) -> list[Service | VirtualObject]:
        return [
            NotifierService(keyring, audience, allow_bare_awakeables=allow_bare_awakeables, names=names),
            TaskMonitor(keyring, audience, topics=topics, clock=clock, names=names),
            ConsumedMarks(names),
        ]

    old = settings.old_services
    return named(settings.services) + ([] if old is None else named(old))
