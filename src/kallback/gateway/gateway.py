"""The gateway: HTTP on one side, Kafka's results and progress topics on the other.

    client ──POST──► server ──► handler ──record──► producer ──► Kafka
                        ◄─────────── 202 ──────────────┘ acknowledged

It keeps nothing: a request that was not answered with 202 is the client's to send again, and a result that is written
twice is a duplicate to the bridge. Any number of gateways can run.

This module is the composition root. Ownership: the gateway owns server and producer. Start: keys and topics are checked
before it listens. Stop: the server answers what is complete, then the producer writes what is queued.
"""

from __future__ import annotations

import asyncio
from typing import Final

from kallback.gateway.handler import RequestHandler
from kallback.gateway.options import GatewayOptions
from kallback.gateway.stats import GatewayStats
from kallback.health import Phase
from kallback.kafka import KafkaClients, clients_of
from kallback.lifecycle import StartStop
from kallback.protocol.verification import Trust
from kallback.settings import Settings, named_log
from kallback.settings.option_types import check_argument
from kallback.web import WebServer

_log: Final = named_log("kallback.gateway")


class Gateway(StartStop):
    """Takes results over HTTP.

        await Gateway(Settings.from_env()).run()

    Args:
        settings: Kafka, topics and keys.
        options: how it behaves.
        kafka: makes the Kafka client; by default the one that the options name.

    Raises:
        InvalidKeyError: there is no signing key.
    """

    def __init__(
        self, settings: Settings, options: GatewayOptions | None = None, *, kafka: KafkaClients | None = None
    ) -> None:
        check_argument("Gateway", "settings", settings, Settings, "Settings.from_env()")
        check_argument("Gateway", "options", options, GatewayOptions, "GatewayOptions(burst=10)")
        self._settings: Final = settings
        self.options: Final = options or GatewayOptions()
        self.stats: Final = GatewayStats()
        self._clients: Final = kafka or clients_of(self.options.client, settings.kafka)
        self._producer: Final = self._clients.producer()
        trust = Trust(settings.keys.require(), settings.keys.audience)
        handler = RequestHandler(self._producer, trust, settings.topics, self.options, self.stats)
        self._server: Final = WebServer(handler, self.options.server, self.stats)
        self._phase = Phase.STARTING
        self._ended = asyncio.Event()
        self._stopping = asyncio.Lock()

    @property
    def phase(self) -> Phase:
        """Starting, running, draining or stopped."""
        return self._phase

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    async def run(self) -> None:
        """Start, and run until `stop`.

        Raises:
            ConfigurationError: a setting must change; the sentence says which.
            KafkaUnavailableError: no broker answers at the start.
        """
        async with self:
            await self._ended.wait()

    async def start(self) -> None:
        """Check everything, then listen; raises as `run`."""
        topics = self._settings.topics
        try:
            await self._producer.start()
            await self._clients.check_topics([topics.results, topics.progress])
            await self._server.start()
        except BaseException:
            await self._producer.stop()
            raise
        self._phase = Phase.RUNNING
        if self._settings.keys.insecure:
            _log.warning("insecure mode: everyone can forge tokens with the published key")
        _log.info("gateway started", port=self.port, results=topics.results, progress=topics.progress)

    async def stop(self) -> None:
        """Answer what is complete, close; returns when stopped. Stopping twice is fine."""
        self._ended.set()
        async with self._stopping:
            if self._phase is Phase.STOPPED:
                return
            self._phase = Phase.DRAINING
            await self._server.stop()
            await self._producer.stop()
            self._phase = Phase.STOPPED
        _log.info("gateway stopped", requests=self.stats.requests.total())
