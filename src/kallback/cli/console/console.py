"""The console: a web server whose pages are read from Restate and Kafka.

This module is the composition root. Ownership: the console owns its server, its sources and the task that samples.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from kallback import kafka
from kallback.cli.console.handler import ConsoleHandler
from kallback.cli.console.many import ManyChanges
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.console.replays import LetterReplays
from kallback.cli.console.routes import Route
from kallback.cli.console.sender import ChangeSender
from kallback.cli.console.sources import ServerSources
from kallback.cli.console.traffic import Traffic
from kallback.cli.dead_letters.factories import confluent_factories
from kallback.health import Phase
from kallback.kafka import ConfluentProducer
from kallback.lifecycle import StartStop, Supervisor
from kallback.settings import Settings, named_log
from kallback.settings.addresses import bracketed
from kallback.web import ServerStats, WebServer

_STOP_S: Final = 5.0
_log: Final = named_log("kallback.console")


class Console(StartStop):
    """Serves the pages of one environment."""

    def __init__(self, settings: Settings, options: ConsoleOptions | None = None) -> None:
        self.options: Final = options or ConsoleOptions()
        self._sources: Final = ServerSources(settings, self.options.processes)
        self._producer: Final = ConfluentProducer(settings.kafka) if self.options.allow_changes else None
        handler = ConsoleHandler(
            self._sources,
            settings,
            self.options,
            changes=self._changes(settings),
            samples=lambda: self._traffic.samples,
        )
        self._server: Final[WebServer[Route]] = WebServer(handler, self.options.server, ServerStats())
        self._traffic: Final = Traffic(self._sources.traffic)
        self._parts: Final = Supervisor("kallback-console", lambda _: self._ended.set(), _log)
        self._phase = Phase.STARTING
        self._ended = asyncio.Event()

    def _changes(self, settings: Settings) -> ChangeSender | None:
        if self._producer is None:
            return None
        replays = LetterReplays(confluent_factories(settings.kafka), settings)
        find = partial(kafka.find_records, settings.kafka)
        many = ManyChanges(self._sources.pending, find, self._producer, settings)
        return ChangeSender(self._sources, self._producer, settings, replays, many, self.options.types)

    @property
    def phase(self) -> Phase:
        """Starting, running or stopped."""
        return self._phase

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    async def run(self) -> None:
        """Start, and run until `stop`.

        Raises:
            ConfigurationError: a setting must change; the sentence says which.
            KafkaUnavailableError: changes are allowed, and no broker answers.
        """
        async with self:
            await self._ended.wait()

    async def start(self) -> None:
        """Listen; raises as `run`."""
        try:
            await self._sources.start()
            if self._producer is not None:
                await self._producer.start()
            await self._server.start()
            self._parts.run("traffic", self._traffic.run())
        except BaseException:
            await self.stop()
            raise
        self._phase = Phase.RUNNING
        _log.info("console started", address=f"http://{bracketed(self.options.server.host)}:{self.port}")

    async def stop(self) -> None:
        """Close everything; stopping twice is fine."""
        self._ended.set()
        await self._server.stop()
        await self._parts.stop(_STOP_S)
        if self._producer is not None:
            await self._producer.stop()
        await self._sources.stop()
        self._phase = Phase.STOPPED
