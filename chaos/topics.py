"""Makes the topics of a team before anything of it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from kallback.kafka import check_topics, create_topics
from kallback.kafka.topics import TopicLayout
from kallback.protocol import MissingTopicError
from kallback.settings import Settings

_PATIENCE_S: Final = 60.0
"""A broker on a busy machine knows a topic many seconds after the controller has made it."""


async def make_topics(settings: Settings, layout: TopicLayout, task_topics: Iterable[str]) -> None:
    """Create the topics; return when the broker knows them all."""
    specs = layout.specs(settings.topics, task_topics)
    await create_topics(settings.kafka, specs)
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return await check_topics(settings.kafka, [spec.name for spec in specs])
            except MissingTopicError:
                continue
