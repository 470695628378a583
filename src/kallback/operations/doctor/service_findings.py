"""What the doctor finds of the services that bridges call: do they answer, and are they this environment's? Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from kallback.bridge.restate.services import ServiceAnswer, ServiceState, codec_mismatch
from kallback.bridge.restate.value_codec import VARIABLE
from kallback.operations.deployments import Deployment, ServiceRoute, route_of
from kallback.operations.doctor.findings import Finding, ok, problem, warning
from kallback.operations.doctor.stuck import START_SERVICE, handlers_of, resumed, start_remedy
from kallback.operations.invocations import InvocationStatus
from kallback.protocol.service_names import PLAIN_NAMES

_INGRESS: Final = (
    "set KALLBACK_RESTATE_INGRESS_URL to the ingress of the Restate that KALLBACK_RESTATE_ADMIN_URL names (its port is "
    "8080 by default, that of the admin API 9070)"
)
_ONE_SERVES: Final = (
    "let one application of this environment serve kallback's services: in the others say "
    "Callbacks(..., services_elsewhere=True) and serve with restate.app([...]), or give each a KALLBACK_TOPICS_PREFIX; "
    "then register the deployments anew, the one that serves them last"
)


_NEW_KEY: Final = (
    "in a rotation of keys, go on when the services have read the new one; otherwise give them the same KALLBACK_KEYS"
)
_REASON: Final = re.compile(r"error when calling '[^']*': (.+)")
"""How Restate begins the failure of a call that reached nothing."""


class SilentServices(NamedTuple):
    """Services of one deployment that gave no answer.

    Attributes:
        route: where Restate calls them; None if nothing has registered them.
    """

    names: Sequence[str]
    detail: str
    route: ServiceRoute | None


def service_findings(
    answers: Sequence[ServiceAnswer],
    deployments: Sequence[Deployment] = (),
    stuck: Sequence[InvocationStatus] = (),
) -> Iterator[Finding]:
    """Whether the services that bridges call are there and verify our tokens.

    Args:
        answers: of the services.
        deployments: all that Restate has; empty if they are not known.
        stuck: invocations that fail, read after the answers: they tell why a service gave none.
    """
    elsewhere = next((each for each in answers if each.state in _NOT_ASKED), None)
    if elsewhere is not None:
        yield problem("services", _not_asked(elsewhere), _INGRESS)
    for answer in answers:
        if answer.state in _OF_ITS_OWN:
            yield from _service_findings(answer, route_of(answer.service, deployments))
    yield from _common_findings(answers, deployments)
    for silent in silent_services(answers, deployments):
        yield _silent_finding(silent, stuck)


def silent_services(answers: Sequence[ServiceAnswer], deployments: Sequence[Deployment]) -> list[SilentServices]:
    """Those that gave no answer, by their deployment."""
    routes = {answer.service: route_of(answer.service, deployments) for answer in answers}
    groups = defaultdict[tuple[str | None, str], list[str]](list)
    for answer in answers:
        route = routes[answer.service]
        if answer.state is ServiceState.UNKNOWN:
            groups[None if route is None else route.current.id, answer.detail].append(answer.service)
    return [SilentServices(names, detail, routes[names[0]]) for (_, detail), names in groups.items()]


def answering_deployments(answers: Sequence[ServiceAnswer], deployments: Sequence[Deployment]) -> frozenset[str]:
    """Ids of deployments whose services have answered."""
    routes = [route_of(each.service, deployments) for each in answers if each.state in _ANSWERED]
    return frozenset(route.current.id for route in routes if route is not None)


_OWN: Final = frozenset(msgspec.structs.astuple(PLAIN_NAMES))
"""Services of kallback, without the audience of an environment."""
_NOT_ASKED: Final = frozenset({ServiceState.UNREACHABLE, ServiceState.NOT_RESTATES})
_OF_ITS_OWN: Final = frozenset({ServiceState.OWN, ServiceState.INCOMPLETE})
_ANSWERED: Final = frozenset({ServiceState.OWN, ServiceState.INCOMPLETE, ServiceState.FOREIGN, ServiceState.UNREADABLE})


def _service_findings(answer: ServiceAnswer, route: ServiceRoute | None) -> Iterator[Finding]:
    if answer.state is ServiceState.OWN:
        if answer.unknown_keys:
            ids = " and ".join(answer.unknown_keys)
            yield warning("services", f"{answer.service} does not know {ids}, but another key of yours", _NEW_KEY)
        else:
            yield ok("services", f"{answer.service} answers and verifies the tokens of these keys")
        if route is not None and route.others:
            yield warning("services", _routed(answer.service, route), _ONE_SERVES)
    else:
        yield problem(
            "services",
            f"{answer.detail}, which {answer.service} calls",
            "serve all of callbacks.services, for example with callbacks.app([...]), and register them",
        )


def _not_asked(answer: ServiceAnswer) -> str:
    if answer.state is ServiceState.UNREACHABLE:
        return f"Restate's ingress gives no answer ({answer.detail}), so the services were not asked"
    return f"what answers as Restate's ingress is no Restate ({answer.detail}), so the services were not asked"


def _common_findings(answers: Sequence[ServiceAnswer], deployments: Sequence[Deployment]) -> Iterator[Finding]:
    """What several services have in common is one finding: other keys, a login, a codec, a missing registration."""
    groups = defaultdict[tuple[ServiceState, str], list[ServiceAnswer]](list)
    unread = [each for each in answers if _is_unread(each)]
    if unread:
        yield _unread_services(unread)
    for answer in answers:
        if answer.state in _COMMON and answer not in unread:
            groups[answer.state, _common_key(answer, deployments)].append(answer)
    for (state, _), own in groups.items():
        names = " and ".join(answer.service for answer in own)
        if state is ServiceState.MISSING:
            yield _missing_services(names, route_of(own[0].service, deployments))
        elif state is ServiceState.FOREIGN:
            yield _foreign_services(names, own)
        else:
            yield problem(
                "services",
                f"{names} {'was' if len(own) == 1 else 'were'} not asked: Restate's ingress answers {own[0].detail}",
                "set KALLBACK_RESTATE_AUTH_TOKEN to a token that has access",
            )


_COMMON: Final = frozenset({ServiceState.MISSING, ServiceState.FOREIGN, ServiceState.DENIED})


def _common_key(answer: ServiceAnswer, deployments: Sequence[Deployment]) -> str:
    if answer.state is not ServiceState.MISSING:
        return ""
    route = route_of(answer.service, deployments)
    return "" if route is None else route.current.id


def _is_unread(answer: ServiceAnswer) -> bool:
    """Whether one side cannot read what the other one writes."""
    is_refused = answer.state is ServiceState.FOREIGN and codec_mismatch(answer.detail) is not None
    return is_refused or answer.state is ServiceState.UNREADABLE


def _unread_services(unread: Sequence[ServiceAnswer]) -> Finding:
    """One service refuses what it is sent, another one's answer is no text: both have one cause."""
    names = " and ".join(each.service for each in unread)
    answer = "answers" if len(unread) == 1 else "answer"
    if any(each.state is ServiceState.FOREIGN for each in unread):
        said = f"{names} {answer}, and what is sent or returned cannot be read: another journal value codec"
        return problem("services", said, _SAME_CODEC)
    detail = unread[0].detail
    return problem(
        "services",
        f"{names} {answer}, and the answer cannot be read ({detail}): another journal value codec, or a proxy",
        f"{_SAME_CODEC}; if they need none, let the proxy pass Restate's answers on",
    )


_SAME_CODEC: Final = f"set {VARIABLE} as bridges have it, and as the services need it"


def _foreign_services(names: str, own: Sequence[ServiceAnswer]) -> Finding:
    return problem(
        "services",
        f"{names} {'does' if len(own) == 1 else 'do'} not verify the tokens of these keys",
        "give services and bridges the same KALLBACK_KEYS, or each environment its own KALLBACK_TOPICS_PREFIX",
    )


def _missing_services(names: str, route: ServiceRoute | None) -> Finding:
    if route is None:
        return warning(
            "services",
            f"Restate does not know {names}",
            "serve your services with callbacks.app([...]) and register them (types without heartbeats need none)",
        )
    said = f"what answers as Restate's ingress does not know {names}, registered at {route.current}"
    return problem("services", said, _INGRESS)


def _silent_finding(silent: SilentServices, stuck: Sequence[InvocationStatus]) -> Finding:
    """What follows from services that give no answer: calls of them wait, and handlers with them."""
    names, route = " and ".join(silent.names), silent.route
    give, them = ("gives", "it") if len(silent.names) == 1 else ("give", "them")
    said = f"{names} {give} no answer ({silent.detail}), so handlers that call {them} wait"
    if route is None:
        return problem("services", said, "start the endpoint, or register one that runs")
    if route.others:
        routed = _routed(names, route)
        return problem("services", f"{said}; {routed}", f"start {route.current.uri or 'it'}; or {_ONE_SERVES}")
    unreached = [each for each in stuck if each.unreached == route.current.id]
    if not unreached:
        return problem("services", f"{said}; Restate calls {them} at {route.current}", START_SERVICE)
    waiting = [
        each
        for each in unreached
        if not each.is_question and each.target.partition("/")[0].partition(".")[0] not in _OWN
    ]
    said = f"nothing answers at {route.current}: {_reason_of(unreached[0])}{_waiting_for_it(waiting)}"
    return problem("services", f"{said}; because of this not checked: {names}", resumed(waiting, start_remedy(waiting)))


def _reason_of(failed: InvocationStatus) -> str:
    shape = _REASON.search(failed.failure_line)
    return failed.failure_line if shape is None else shape[1]


def _waiting_for_it(waiting: Sequence[InvocationStatus]) -> str:
    if not waiting:
        return ""
    count = "1 invocation" if len(waiting) == 1 else f"{len(waiting):,} invocations"
    return f"; {count} of {handlers_of(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for it"


def _routed(service: str, route: ServiceRoute) -> str:
    """Which applications have registered a name."""
    others = "; ".join(f"{deployment}, which serves {', '.join(names)}" for deployment, names in route.others)
    return (
        f"several applications have registered {service}: Restate calls it at {route.current}, the last one that was "
        f"registered, and no more at {others}"
    )
