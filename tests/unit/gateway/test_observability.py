"""Metrics and probes of a gateway."""

from __future__ import annotations

from tests.unit.gateway.environment import GatewayEnv, post

from kallback.gateway.observability import GatewayCollector
from kallback.health import Phase
from kallback.health.running_probes import RunningProbes


async def test_requests_are_counted_by_action_and_outcome(env: GatewayEnv) -> None:
    """A refusal before the action is known counts as unknown; written ones have a latency."""
    async with env.running() as gateway:
        login = f"Bearer {env.make.sign()}"
        for path, body in (("result", b"1"), ("result", b"{"), ("heartbeat", b""), ("other", b"")):
            await post(gateway, f"/v1/{path}", body, authorization=login)
        families = {family.name: family for family in GatewayCollector(gateway).collect()}

    counted = {tuple(each.labels.values()): each.value for each in families["kallback_gateway_requests"].samples}
    assert {key: count for key, count in counted.items() if len(key) == 2} == {
        ("result", "accepted"): 1,
        ("result", "not-json"): 1,
        ("heartbeat", "accepted"): 1,
        ("unknown", "not-found"): 1,
    }
    latencies = families["kallback_gateway_write_latency_seconds"].samples
    assert {each.labels["action"]: each.value for each in latencies if each.name.endswith("_count")} == {
        "result": 1,
        "heartbeat": 1,
    }


async def test_a_gateway_is_ready_while_it_listens(env: GatewayEnv) -> None:
    """Before and after that it is alive and not ready, and says in which phase it is."""
    gateway = env.stopped()
    probes = RunningProbes("gateway", gateway)
    said = [probes.ready()]
    async with gateway:
        said.append(probes.ready())
    said.append(probes.ready())

    assert [(each.ok, each.phase) for each in said] == [
        (False, Phase.STARTING),
        (True, Phase.RUNNING),
        (False, Phase.STOPPED),
    ]
    assert said[0].reasons == ["the gateway is starting"]
    assert probes.live().ok
