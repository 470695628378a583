"""Which reply and progress topics exist: asked before a task is run, so that no slot waits for a topic that is missing.

A producer waits seconds for a topic that it does not know, because the topic may be new. A task that names a missing
topic would hold its slot meanwhile, and 160 such tasks would stop a worker. The topics of this installation are not
asked for: what is wrong with them is for the operator to mend, and the tasks wait. For others, the names of all topics
are listed, at most once in a second.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from kallback.kafka import Record
from kallback.lifecycle import LogThrottle
from kallback.protocol.headers import MAX_HEADERS, PROGRESS_TO, REPLY_TO
from kallback.settings.logs import NamedLog
from kallback.workers.logs import guarded_logger

logger = guarded_logger(__name__)

_HEADERS: Final = frozenset({REPLY_TO, PROGRESS_TO})
_FRESH_S: Final = 1.0  # so old may a list be that says that a topic is missing
_VALID_S: Final = 60.0  # so old may a list be that says that a topic exists
_LIST_TIMEOUT_S: Final = 5.0


class ReplyTopics:
    """The names of the topics that exist, as far as tasks name them.

    Args:
        own: topics of this installation.
        allows: whether a worker may answer to a topic; no other is looked for.
        list_topics: returns the names of all topics.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        own: Iterable[str],
        allows: Callable[[str], bool],
        list_topics: Callable[[], Awaitable[frozenset[str]]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own: Final = frozenset(own)
        self._own_encoded: Final = frozenset(topic.encode() for topic in self._own)
        self._allows: Final = allows
        self._list_topics: Final = list_topics
        self._monotonic: Final = monotonic
        self._throttle: Final = LogThrottle(NamedLog(logger), monotonic)
        self._names: frozenset[str] | None = None
        self._listed_at = 0.0

    def is_missing(self, topic: str) -> bool:
        """Whether a topic is known not to exist."""
        return self._names is not None and topic not in self._own and topic not in self._names

    async def learn(self, records: Iterable[Record]) -> None:
        """List the topics if a record names one that is not known; an unreachable Kafka is no error here."""
        named = {topic for record in records for topic in self._named(record)}
        if not named:
            return
        age = self._monotonic() - self._listed_at
        if self._names is None or age > (_VALID_S if named <= self._names else _FRESH_S):
            await self._list()
        for topic in named - (self._names or named):
            self._throttle.warning("a task names a topic that does not exist", kind="missing", topic=topic)

    async def _list(self) -> None:
        try:
            async with asyncio.timeout(_LIST_TIMEOUT_S):
                self._names = await self._list_topics()
        except Exception as error:  # noqa: BLE001 - whatever the client raises, tasks go on as if all topics existed
            logger.debug("the topics cannot be listed: %r", error)
            self._names = None
        self._listed_at = self._monotonic()

    def _named(self, record: Record) -> set[str]:
        """The topics that a record names and that a worker may answer to, without our own."""
        headers = itertools.islice(record.headers, MAX_HEADERS)
        values = {value for name, value in headers if name in _HEADERS and value is not None} - self._own_encoded
        topics = {value.decode(errors="replace") for value in values}
        return {topic for topic in topics if self._allows(topic)}
