"""`compose.secured.yaml`: TLS, passwords, as few permissions as can be, a key rotation while orders are under way."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclBindingFilter, AclOperation, AclPermissionType, AdminClient
from deploy import access
from tests.containers.compose import ComposeProject, composed, own_environment, signing_key
from tests.containers.customers import Customers

from kallback.testing import Admin, Ingress, RestateError

pytestmark = [pytest.mark.containers, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "food_ordering"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made for this run, by the script that users run."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([ROOT / "deploy" / "certificates.sh", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Generator[ComposeProject]:
    """The whole stack, with passwords of this run."""
    environ = own_environment() | {"KAFKA_CERTIFICATES": str(certificates)}
    environ |= {f"KAFKA_{user.upper()}_PASSWORD": secrets.token_hex(16) for user in access.USERS}
    compose = ComposeProject(("compose.yaml", "compose.secured.yaml"), environ)
    with composed(compose):
        yield compose


@pytest.fixture(scope="module")
def customers(secured: ComposeProject) -> Customers:
    """Customers of the whole stack."""
    return Customers(secured.ingress_url)


@pytest.fixture(scope="module")
def admin(secured: ComposeProject, certificates: Path) -> AdminClient:
    """Kafka's administrator."""
    return AdminClient(
        {
            "bootstrap.servers": f"127.0.0.1:{secured.environ['KAFKA_PORT']}",
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(certificates / "ca.pem"),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "admin",
            "sasl.password": secured.environ["KAFKA_ADMIN_PASSWORD"],
        }
    )


async def test_orders_are_delivered_while_keys_rotate(secured: ComposeProject, customers: Customers) -> None:
    """Bridges learn the new key, services sign with it, bridges forget the old one; no order notices."""
    old, new = secured.environ["KALLBACK_KEYS"], signing_key("k2")
    orders = await customers.order(4)
    recreate = ("up", "--detach", "--no-deps", "--wait")
    secured(*recreate, "bridge", environ={"KALLBACK_KEYS": f"{old},{new}"})
    orders += await customers.order(4)
    secured(*recreate, "services", environ={"KALLBACK_KEYS": f"{new},{old}"})
    orders += await customers.order(4)
    await customers.until(["DELIVERED"], orders)
    secured(*recreate, "bridge", environ={"KALLBACK_KEYS": new})
    await customers.until(["DELIVERED"], await customers.order(2))


@pytest.fixture
def without(admin: AdminClient, request: pytest.FixtureRequest) -> Iterator[access.Permission]:
    """One permission is taken away for the length of a test."""
    permission: access.Permission = request.param
    binding = permission.binding()
    chosen = AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        "*",
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    everything = admin.describe_acls(chosen).result(20)
    assert binding in everything
    one = AclBindingFilter(*(getattr(binding, name) for name in FIELDS))
    assert len(admin.delete_acls([one])[one].result(20)) == 1
    yield permission
    admin.create_acls([binding])[binding].result(20)


FIELDS = ("restype", "name", "resource_pattern_type", "principal", "host", "operation", "permission_type")


def label(permission: access.Permission) -> str:
    """The name of a permission's test."""
    return f"{permission.user}-{permission.operation}-{permission.kind}-{permission.name}".lower()


GAPS: dict[tuple[str, str, str], str] = {}
"""Roles that do fail without the permission, but do not say so as they should."""


def of(*users: str) -> pytest.MarkDecorator:
    """Tests, one for each permission of these users."""
    chosen = [
        pytest.param(each, id=label(each), marks=[pytest.mark.xfail(reason=gap)] if gap else [])
        for each in access.ACCESS
        if each.user in users
        for gap in (GAPS.get((each.user, each.operation, each.kind)),)
    ]
    return pytest.mark.parametrize("without", chosen, indirect=True)


COMMANDS = {
    "topics": ("topics", "create", "restaurant.prepare", "bakery.bake", "--partitions", "4"),
    "bridge": ("bridge", "--outcomes"),
    "worker": ("worker", "pos_worker:worker"),
    "bakery": ("worker", "bakery:worker"),
}
TIMEOUT_S = 15
BAKERY = {"bakery.bake", "bakery", "kallback.progress"}


@pytest.fixture(scope="module")
def quiet(secured: ComposeProject) -> None:
    """Without the stack's own bridge and worker, which are of the same groups."""
    secured("stop", "bridge", "pos-worker", "bakery", "phones")


def run_role(user: str, command: str, secured: ComposeProject, certificates: Path) -> subprocess.CompletedProcess[str]:
    """Run a role's command as its user until it ends by itself."""
    environ = secured.environ
    env = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_")} | {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{environ['KAFKA_PORT']}",
        "KALLBACK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KALLBACK_KAFKA_SASL_USERNAME": user,
        "KALLBACK_KAFKA_SASL_PASSWORD": environ[f"KAFKA_{user.upper()}_PASSWORD"],
        "KALLBACK_KAFKA_SSL_CA_FILE": str(certificates / "ca.pem"),
        "KALLBACK_RESTATE_INGRESS_URL": secured.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": secured.admin_url,
        "KALLBACK_KEYS": environ["KALLBACK_KEYS"],
    }
    arguments = [sys.executable, "-m", "kallback.cli", *COMMANDS[command]]
    try:
        return subprocess.run(
            arguments, env=env, cwd=EXAMPLE, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"{user} still runs after {TIMEOUT_S} s, without a permission: {late.stderr!r}")


@pytest.mark.usefixtures("quiet")
@of("topics", "bridge", "worker")
def test_a_role_ends_without_its_one_permission(
    without: access.Permission, secured: ComposeProject, certificates: Path
) -> None:
    """The last line says what was refused, and that an ACL is missing."""
    command = "bakery" if without.user == "worker" and without.name in BAKERY else without.user
    done = run_role(without.user, command, secured, certificates)
    assert done.returncode != 0
    said = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert said.endswith("let an administrator add the missing ACL")
    assert ("Group authorization failed" if without.kind == "GROUP" else without.name) in said


@pytest.mark.usefixtures("quiet")
@of("service")
async def test_a_service_says_which_permission_it_lacks(
    without: access.Permission, secured: ComposeProject, customers: Customers
) -> None:
    """To its caller where it cannot send a task; a cancel is best effort, so there it stands in the journal only."""
    attempts = {
        "restaurant.prepare": rejected_order,
        "bakery.bake": refused_cake,
        "kallback.control": cancelled_order,
    }
    said = await attempts[without.name](secured, customers)
    assert f"'{without.name}'" in said
    assert "let an administrator add the missing ACL" in said


_SETUP_PATIENCE_S = 120.0
"""A missing permission is waited for, a minute by default."""


async def rejected_order(_secured: ComposeProject, customers: Customers) -> str:
    """What a customer reads."""
    (status,) = await customers.until(["REJECTED"], await customers.order(1), timeout_s=_SETUP_PATIENCE_S)
    return str(status["detail"])


async def refused_cake(secured: ComposeProject, _customers: Customers) -> str:
    """What the caller of a handler reads."""
    async with Ingress(secured.ingress_url, timeout=_SETUP_PATIENCE_S) as ingress:
        with pytest.raises(RestateError) as caught:
            await ingress.call("CakeOrder/1/create", {"id": "1", "layers": 1})
    return caught.value.body


async def cancelled_order(secured: ComposeProject, customers: Customers) -> str:
    """What an operator reads in Restate."""
    (order,) = await customers.order(1)
    await customers.until(["PREPARING"], [order], timeout_s=30)
    await customers.cancel(order)
    await customers.until(["CANCELLED"], [order], timeout_s=30)
    async with Admin(secured.admin_url) as admin:
        rows = await admin.query(
            "SELECT j.entry_json FROM sys_journal j JOIN sys_invocation i ON i.id = j.id "
            f"WHERE i.target = 'OrderWorkflow/{order}/create'"
        )
    return readable(rows)


def readable(rows: list[dict[str, Any]]) -> str:
    """A journal as text; values stand in it as lists of bytes."""
    text = json.dumps(rows).replace("\\", "")
    values = re.findall(r'"(?:content|success|Success|bytes)": ?\[([\d, ]+)\]', text)
    return text + "".join(bytes(map(int, value.split(","))).decode(errors="replace") for value in values)
