"""The processes of the demo: each one is started as a user would start it, with its own log file."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import sys
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tasks import bake, prepare

from kallback.kafka import AiokafkaReader, Record
from kallback.settings import Settings
from kallback.testing import ServerStartError, Stack
from kallback.testing.clients.restate import Admin, Ingress
from kallback.testing.servers.ports import accepts, free_ports
from kallback.testing.servers.processes import ChildProcess

HERE = Path(__file__).parent
KALLBACK = str(Path(sys.executable).with_name("kallback"))
DRIVER_UPDATES = "driver-updates"
FIRST_KEY, NEW_KEY = "demo", "new"


class DemoProcesses:
    """Everything that runs besides Kafka and Restate.

    Attributes:
        settings: what every process reads from its environment.
        ingress: calls handlers, as the customers' app would.
        admin: looks into Restate, as an operator would.
        services: the Restate side (`services.py`).
        bridge: `kallback bridge`.
        kitchen: `kallback worker pos_worker:worker`.
        bakers: `kallback worker bakery:worker`, twice.
        phones: the simulated drivers (`driver_phones.py`).
        console: `kallback console`.
        console_url: where it is.
    """

    def __init__(self, stack: Stack, logs: Path) -> None:
        self._stack = stack
        self._logs = logs
        self._env = _environment(stack)
        self._port, console_port = free_ports(2)
        self.settings = Settings.from_env(self._env)
        self.ingress = Ingress(stack.ingress_url)
        self.admin = Admin(stack.admin_url)
        self.services = self._services()
        self.bridge = self._bridge()
        self.kitchen = self._process("kitchen", KALLBACK, "worker", "pos_worker:worker")
        self.bakers = tuple(self._process(name, KALLBACK, "worker", "bakery:worker") for name in ("baker-1", "baker-2"))
        self.phones = self._process("phones", sys.executable, "driver_phones.py")
        self.console_url = f"http://127.0.0.1:{console_port}"
        self.console = self._process("console", KALLBACK, "console", "--port", str(console_port), "--allow-changes")

    @property
    def processes(self) -> tuple[ChildProcess, ...]:
        """All processes."""
        return (self.services, self.bridge, self.kitchen, *self.bakers, self.phones, self.console)

    async def start(self) -> None:
        """Create the topics, start the processes, tell Restate where its services and the drivers' topic are."""
        await self.kallback("topics", "create", prepare.topic, bake.topic, DRIVER_UPDATES, "--partitions", "4")
        for process in (self.services, self.bridge, self.kitchen, *self.bakers, self.console):
            process.start()
        await asyncio.to_thread(self.services.wait_ready, lambda: accepts(self._port))
        await self.admin.register(f"http://127.0.0.1:{self._port}")
        await self.admin.add_kafka_cluster("demo", self._stack.bootstrap_servers)
        await self.admin.subscribe(f"kafka://demo/{DRIVER_UPDATES}", "service://DriverDigitalTwin/location_update")
        self.phones.start()

    async def stop(self) -> None:
        """End every process; twice is fine."""
        await self.ingress.stop()
        await self.admin.stop()
        for process in reversed(self.processes):
            process.kill()

    def ended(self, but: Collection[ChildProcess] = ()) -> list[str]:
        """The processes that do not run, with their last log lines; those killed on purpose are left out."""
        return [
            f"{process.name} ended with exit code {process.exit_code}:\n{process.log_tail(5)}"
            for process in self.processes
            if not process.running and process not in but
        ]

    def kitchen_log(self, word: str) -> list[str]:
        """The orders about which the kitchen logged this word, restarts included."""
        return re.findall(rf"order (\d+): {word}", self.kitchen.log.read_text(errors="replace"))

    async def rotate_services(self) -> None:
        """Restart the Restate side with a new key: it signs, the old one still verifies."""
        self._env["KALLBACK_KEYS"] = f"{_new_key(NEW_KEY)},{self._env['KALLBACK_KEYS']}"
        await asyncio.to_thread(self.services.stop)
        self.services = self._services()
        self.services.start()
        await asyncio.to_thread(self.services.wait_ready, lambda: accepts(self._port))

    async def rotate_bridge(self) -> None:
        """Restart the bridge with the keys that the services have by now."""
        await asyncio.to_thread(self.bridge.stop)
        self.bridge = self._bridge()
        self.bridge.start()

    async def kallback(self, *arguments: str, may_fail: bool = False) -> list[str]:
        """Run the `kallback` command as an operator would; return the lines that it prints.

        Raises:
            ServerStartError: it failed and may not; says how.
        """
        process = await asyncio.create_subprocess_exec(
            KALLBACK,
            *arguments,
            env=self._env,
            cwd=HERE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:  # the demo was interrupted meanwhile
                process.kill()
                await process.wait()
        text = output.decode(errors="replace").strip()
        if process.returncode and not may_fail:
            raise ServerStartError(f"kallback {' '.join(arguments)}: {text}")
        return text.splitlines()

    async def read(self, topic: str) -> list[Record]:
        """What a topic holds now."""
        records: list[Record] = []
        async with AiokafkaReader(self.settings.kafka, topic) as reader:
            while not reader.caught_up.is_set():
                records += await reader.fetch(timeout=1)
        return records

    async def outcomes(self) -> list[dict[str, Any]]:
        """The outcome of each result record, as the bridge wrote it."""
        return [msgspec.json.decode(record.value or b"{}") for record in await self.read(self.settings.topics.outcomes)]

    def _services(self) -> ChildProcess:
        return self._process("services", KALLBACK, "service", "services:app", "--port", str(self._port))

    def _bridge(self) -> ChildProcess:
        return self._process("bridge", KALLBACK, "bridge", "--outcomes", "--instance-id", "bridge-1")

    def _process(self, name: str, *command: str) -> ChildProcess:
        return ChildProcess(name, command, log=self._logs / f"{name}.log", env=self._env, cwd=HERE)


@asynccontextmanager
async def running_processes(stack: Stack, logs: Path) -> AsyncGenerator[DemoProcesses]:
    """Start everything, end everything."""
    processes = DemoProcesses(stack, logs)
    try:
        await processes.start()
        yield processes
    finally:
        await processes.stop()


def _environment(stack: Stack) -> dict[str, str]:
    """Settings for every process: addresses, and a signing key made for this one run."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("KALLBACK_")}
    return foreign | {
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": stack.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": stack.admin_url,
        "KALLBACK_KEYS": _new_key(FIRST_KEY),
        "KITCHEN_NAME": "kitchen-1",
        "PYTHONUNBUFFERED": "1",
    }


def _new_key(key_id: str) -> str:
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(32)).decode()}"
