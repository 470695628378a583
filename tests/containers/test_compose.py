"""`compose.yaml` as a user runs it, in the order of a life: up, orders, kills in the middle, down."""

from __future__ import annotations

from collections.abc import Generator

import httpx
import pytest
from tests.containers.compose import ComposeProject, composed, docker, own_environment
from tests.containers.customers import Customers

pytestmark = [pytest.mark.containers, pytest.mark.timeout(400)]

ONE_SHOT = {"topics", "register"}
SCALED = {"bridge": 2, "pos-worker": 2}


@pytest.fixture(scope="module")
def stack() -> Generator[ComposeProject]:
    """The whole stack, two bridges and two kitchens."""
    compose = ComposeProject(("compose.yaml",), own_environment())
    scale = [part for service, count in SCALED.items() for part in ("--scale", f"{service}={count}")]
    with composed(compose, *scale):
        yield compose


@pytest.fixture(scope="module")
def customers(stack: ComposeProject) -> Customers:
    """Customers of the whole stack."""
    return Customers(stack.ingress_url)


def test_everything_comes_up_healthy(stack: ComposeProject) -> None:
    """After `up --wait` the one-shots have ended well, the others run, and those with a health check pass it."""
    for state in stack.states():
        if state["Service"] in ONE_SHOT:
            assert (state["State"], state["ExitCode"]) == ("exited", 0), state
        else:
            assert (state["State"], state["Health"] or "healthy") == ("running", "healthy"), state


def test_services_are_scaled(stack: ComposeProject) -> None:
    """`--scale` gives so many containers."""
    assert {service: len(stack.containers(service)) for service in SCALED} == SCALED


def test_nothing_is_published_but_on_the_loopback(stack: ComposeProject) -> None:
    """Other machines reach no port."""
    published = {each["URL"] for state in stack.states() for each in state["Publishers"] or () if each["PublishedPort"]}
    assert published == {"127.0.0.1"}


def test_no_process_is_root(stack: ComposeProject) -> None:
    """Our image runs as a user of its own."""
    assert stack("exec", "-T", "bridge", "id", "-u").strip() == "10001"


def test_only_named_volumes_are_made(stack: ComposeProject) -> None:
    """An unnamed one would be left behind by `up --force-recreate`, whatever `down` removes."""
    each = '{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}'
    containers = [state["ID"] for state in stack.states()]
    names = docker("inspect", "--format", each, *containers).split()
    assert sorted(names) == [f"{stack.project}_kafka", f"{stack.project}_restate"]


async def test_the_console_asks_for_its_password(stack: ComposeProject) -> None:
    """With any user name; then it shows the processes, which answer it."""
    address = f"http://127.0.0.1:{stack.environ['CONSOLE_PORT']}"
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        without = await client.get("/processes")
        page = await client.get("/processes", auth=("ann", stack.environ["CONSOLE_PASSWORD"]))
    assert (without.status_code, page.status_code) == (401, 200)
    assert "http://bridge:9464</td><td>ready" in page.text


async def test_orders_are_delivered(customers: Customers) -> None:
    """From the ingress through Kafka, the kitchens and the bridges to the door."""
    orders = await customers.order(6)
    await customers.until(["DELIVERED"], orders)


@pytest.mark.parametrize("service", ["bridge", "pos-worker", "kafka", "restate", "services"])
async def test_orders_survive_a_kill_in_the_middle(service: str, stack: ComposeProject, customers: Customers) -> None:
    """`docker kill` while orders are in the kitchen, `docker start` after it: each is delivered."""
    orders = await customers.order(6)
    await customers.until(["PREPARING", "DELIVERING"], orders[:1], timeout_s=60)
    (victim, *_) = stack.containers(service)
    docker("kill", victim)
    docker("start", victim)
    await customers.until(["DELIVERED"], orders)


async def test_data_survives_new_containers(stack: ComposeProject, customers: Customers) -> None:
    """Kafka's and Restate's data are in volumes: what was delivered stays so, what is on its way arrives."""
    before = await customers.order(1)
    await customers.until(["DELIVERED"], before)
    after = await customers.order(4)
    stack("up", "--detach", "--wait", "--no-deps", "--force-recreate", "kafka", "restate")
    await customers.until(["DELIVERED"], [*before, *after])


def test_a_stop_ends_a_bridge_well(stack: ComposeProject) -> None:
    """STOPSIGNAL reaches the process, which drains, commits and ends by itself: exit code 0, not 137."""
    (victim, *_) = stack.containers("bridge")
    docker("stop", "--time", "25", victim)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", victim).strip() == "0"


def test_down_leaves_nothing(stack: ComposeProject) -> None:
    """No container, no network, no volume."""
    stack("down", "--volumes", "--timeout", "5")
    assert stack.leftovers() == []
