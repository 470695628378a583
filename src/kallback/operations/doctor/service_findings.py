"""What the doctor finds of the services that bridges call: do they answer, and are they this environment's? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.operations.deployments import Deployment, ServiceRoute, route_of
from kallback.operations.doctor.findings import Finding, ok, problem, warning

_INGRESS: Final = (
    "set KALLBACK_RESTATE_INGRESS_URL to the ingress of the Restate that KALLBACK_RESTATE_ADMIN_URL names (its port is "
    "8080 by default, that of the admin API 9070)"
)
_ONE_SERVES: Final = (
    "let one application of this environment serve kallback's services: in the others say "
    "Callbacks(..., services_elsewhere=True) and serve with restate.app([...]), or give each a KALLBACK_TOPICS_PREFIX; "
    "then register the deployments anew, the one that serves them last"
)


def service_findings(answers: Sequence[ServiceAnswer], deployments: Sequence[Deployment] = ()) -> Iterator[Finding]:
    """Whether the services that bridges call are there and verify our tokens.

    Args:
        answers: of the services.
        deployments: all that Restate has; empty if they are not known.
    """
    away = next((each for each in answers if each.state is ServiceState.UNREACHABLE), None)
    if away is not None:
        said = f"Restate's ingress gives no answer ({away.detail}), so the services were not asked"
        yield problem("services", said, _INGRESS)
    for answer in answers:
        if answer.state is not ServiceState.UNREACHABLE:
            yield from _service_findings(answer, route_of(answer.service, deployments))


def _service_findings(answer: ServiceAnswer, route: ServiceRoute | None) -> Iterator[Finding]:
    if answer.state is ServiceState.OWN:
        yield ok("services", f"{answer.service} answers and verifies the tokens of these keys")
        if route is not None and route.others:
            yield warning("services", _routed(answer.service, route), _ONE_SERVES)
    elif answer.state is ServiceState.MISSING:
        yield _missing_service(answer.service, route)
    elif answer.state is ServiceState.INCOMPLETE:
        yield problem(
            "services",
            f"{answer.detail}, which {answer.service} calls",
            "serve all of callbacks.services, for example with callbacks.app([...]), and register them",
        )
    elif answer.state is ServiceState.FOREIGN:
        yield problem(
            "services",
            f"{answer.service} does not verify the tokens of these keys",
            "give services and bridges the same KALLBACK_KEYS, or each environment its own KALLBACK_TOPICS_PREFIX",
        )
    elif answer.state is ServiceState.DENIED:
        yield problem(
            "services",
            f"{answer.service} was not asked: Restate's ingress answers {answer.detail}",
            "set KALLBACK_RESTATE_AUTH_TOKEN to a token that has access",
        )
    else:
        yield _silent_service(answer, route)


def _missing_service(service: str, route: ServiceRoute | None) -> Finding:
    if route is None:
        return warning(
            "services",
            f"Restate does not know {service}",
            "serve your services with callbacks.app([...]) and register them (types without heartbeats need none)",
        )
    said = f"what answers as Restate's ingress does not know {service}, which is registered at {route.current}"
    return problem("services", said, _INGRESS)


def _silent_service(answer: ServiceAnswer, route: ServiceRoute | None) -> Finding:
    """What follows from a service that gives no answer: calls of it wait, and handlers with them."""
    said = f"{answer.service} gives no answer ({answer.detail}), so handlers that call it wait"
    if route is None:
        return problem("services", said, "start its endpoint, or register one that runs")
    if route.others:
        return problem(
            "services",
            f"{said}; {_routed(answer.service, route)}",
            f"start {route.current.uri or 'it'}; or {_ONE_SERVES}",
        )
    return problem(
        "services",
        f"{said}; Restate calls it at {route.current}",
        "start the service there; if your application runs at another address, register that one",
    )


def _routed(service: str, route: ServiceRoute) -> str:
    """Which applications have registered a name."""
    others = "; ".join(f"{deployment}, which serves {', '.join(names)}" for deployment, names in route.others)
    return (
        f"several applications have registered {service}: Restate calls it at {route.current}, the last one that was "
        f"registered, and no more at {others}"
    )
