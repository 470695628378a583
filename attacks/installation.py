"""The service, the bridge and the worker that one attack meets, with topics and a signing key of their own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from attacks.programs import ROOT, Program, variables_of
from attacks.work import GROUP_VARIABLE, TASKS_VARIABLE, WORK_VARIABLE
from kallback.kafka import create_topics
from kallback.kafka.topics import TopicLayout
from kallback.settings import Settings
from kallback.testing import RestateError, ServiceProcess, Stack, eventually
from kallback.testing.clients.restate import Admin

_READY_S: Final = 60.0


class Installation:
    """Everything that runs besides Kafka and Restate.

    Args:
        name: prefix of its topics.
        directory: for logs.
        client: the Kafka client of the worker.
        bridge_client: that of the bridge.
        topic_options: of each topic, on top of ours.
        work_s: seconds that the work of a good call takes.
        limit_mib: of the memory of bridge and worker each; None: no limit.
    """

    def __init__(
        self,
        stack: Stack,
        name: str,
        directory: Path,
        *,
        client: str,
        bridge_client: str,
        topic_options: Mapping[str, str],
        work_s: float,
        limit_mib: int | None,
    ) -> None:
        self.stack = stack
        self.tasks = f"{name}.tasks"
        self._topic_options = topic_options
        self._group = f"{name}.workers"
        self.env = variables_of(
            KALLBACK_KAFKA_BOOTSTRAP_SERVERS=stack.bootstrap_servers,
            KALLBACK_RESTATE_INGRESS_URL=stack.ingress_url,
            KALLBACK_RESTATE_ADMIN_URL=stack.admin_url,
            KALLBACK_KEYS=f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            KALLBACK_TOPICS_PREFIX=f"{name}.",
            **{TASKS_VARIABLE: self.tasks, GROUP_VARIABLE: self._group, WORK_VARIABLE: str(work_s)},
        )
        self.settings = Settings.from_env(self.env)
        self.topics = self.settings.topics
        self._service = ServiceProcess("attacks.app:app", stack.restate, env=self.env, cwd=ROOT)
        worker = ("worker", "attacks.worker:worker", "--client", client)
        made = partial(Program, env=self.env, directory=directory, limit_mib=limit_mib)
        self.bridge = made("bridge", "bridge", "--instance-id", "none", "--client", bridge_client)
        self.worker = made("worker", *worker)
        self.programs = (self.bridge, self.worker)

    @property
    def groups(self) -> dict[str, str]:
        """The groups that read, and their topics."""
        results = self.topics.results
        return {
            f"{results}.bridge": results,
            f"{results}.bridge.progress": self.topics.progress,
            self._group: self.tasks,
        }

    async def start(self) -> None:
        """Create the topics and start everything."""
        specs = TopicLayout().specs(self.topics, [self.tasks])
        await create_topics(
            self.settings.kafka, [replace(spec, config={**spec.config, **self._topic_options}) for spec in specs]
        )
        await asyncio.gather(asyncio.to_thread(self._service.start), self.start_programs())

    async def start_programs(self) -> None:
        """Start bridge and worker; return when both are ready."""
        await asyncio.gather(*(asyncio.to_thread(program.start) for program in self.programs))
        for program in self.programs:
            await eventually(f"{program.name} to be ready", partial(_is_ready, program), timeout=_READY_S)

    async def restart_programs(self) -> None:
        """Stop bridge and worker, and start them again."""
        await asyncio.gather(*(asyncio.to_thread(program.stop) for program in self.programs))
        await self.start_programs()

    async def close(self) -> None:
        """End everything, and what still waits in Restate."""
        for program in self.programs:
            program.kill()
        async with Admin(self.stack.admin_url) as admin:
            for row in await admin.query("SELECT id FROM sys_invocation WHERE status != 'completed'"):
                with contextlib.suppress(RestateError):  # it has ended meanwhile
                    await admin.kill(row["id"])
        self._service.close()


@asynccontextmanager
async def opened(installation: Installation) -> AsyncGenerator[Installation]:
    """Start an installation, end it at the end."""
    try:
        await installation.start()
        yield installation
    finally:
        await installation.close()


async def _is_ready(program: Program) -> bool:
    try:
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://127.0.0.1:{program.port}/readyz", timeout=5)).is_success
    except httpx.HTTPError:
        return False
