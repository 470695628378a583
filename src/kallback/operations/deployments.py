"""Which deployments have registered a service, and which of them Restate calls, from its admin API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


class ServiceRevision(msgspec.Struct, frozen=True):
    """A service as one deployment has registered it; Restate calls the one with the highest revision."""

    name: str
    revision: int = 0


class Deployment(msgspec.Struct, frozen=True):
    """What serves services.

    Attributes:
        uri: its address; empty if it has none, as a function of Lambda.
    """

    id: str
    uri: str = ""
    arn: str = ""
    services: list[ServiceRevision] = []

    def __str__(self) -> str:
        return f"{self.uri or self.arn or 'a deployment'} ({self.id})"


@dataclass(frozen=True, slots=True)
class ServiceRoute:
    """Where Restate sends calls of a service.

    Attributes:
        current: what it calls.
        others: other applications that have registered the name, each with services that Restate still calls there.
    """

    current: Deployment
    others: Sequence[tuple[Deployment, Sequence[str]]] = ()


class DeploymentList(msgspec.Struct, frozen=True):
    """The answer of the admin API."""

    deployments: list[Deployment]


def route_of(service: str, deployments: Sequence[Deployment]) -> ServiceRoute | None:
    """Where calls of a service go; None if nothing has registered it. Pure.

    An earlier version of the same application is no other application: Restate calls none of its services any more.
    """
    called = dict[str, tuple[int, Deployment]]()
    for deployment in deployments:
        for each in deployment.services:
            if each.name not in called or each.revision > called[each.name][0]:
                called[each.name] = each.revision, deployment
    if service not in called:
        return None
    current = called[service][1]
    others = [
        (deployment, sorted(name for name, (_, serves) in called.items() if serves.id == deployment.id))
        for deployment in deployments
        if deployment.id != current.id and any(each.name == service for each in deployment.services)
    ]
    return ServiceRoute(current, [(deployment, names) for deployment, names in others if names])
