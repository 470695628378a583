"""Which topics a worker may answer to. Pure.

A task names the topics for its result and its progress, and everyone who may write to a task topic can write a task. By
default a worker answers to the topics of its own installation only, those that begin with its prefix. It never answers
to a topic that other parts of kallback write to, nor to a task topic.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from kallback.protocol.tasks import TaskHeaders
from kallback.protocol.tasktypes import is_kafka_name
from kallback.settings import Topics

_WILDCARD: Final = "*"
_REMEDY: Final = (
    "if it is yours, add it to KALLBACK_TOPICS_REPLY_TO or WorkerOptions.reply_topics; if it is another team's, give "
    "each team's task type a topic of its own"
)


@dataclass(frozen=True, slots=True)
class ReplyPolicy:
    """Which topics results and progress may go to.

    Attributes:
        topics: of this installation.
        task_topics: that this worker reads.
        allowed: names, or beginnings of names that end in `*`; None means those of the settings, and all that begin
            with the prefix.
    """

    topics: Topics = field(default_factory=Topics)
    task_topics: frozenset[str] = frozenset()
    allowed: frozenset[str] | None = None

    def refusal_of(self, headers: TaskHeaders) -> str | None:
        """Why a task's result or progress may not go where it says; None if it may."""
        for what, topic, own in (
            ("result", headers.reply_to, self.topics.all_results),
            ("progress", headers.progress_to, (self.topics.progress,)),
        ):
            if topic is None or topic in own:
                continue
            if self._is_reserved(topic):
                return f"no {what} may go to {topic!r}: only other parts of kallback write to this topic"
            if not self.allows(topic):
                return f"no {what} may go to {topic!r}: {_REMEDY}"
        return None

    def allows(self, topic: str) -> bool:
        """Whether results or progress may go to a topic beside the two of this installation."""
        if not is_kafka_name(topic) or self._is_reserved(topic):
            return False
        if self.allowed is not None:
            return _matches(topic, self.allowed)
        return _matches(topic, self.topics.reply_to) or self.topics.has_prefix(topic)

    def _is_reserved(self, topic: str) -> bool:
        return topic in self.task_topics or topic in self.topics.all()


def _matches(topic: str, patterns: Collection[str]) -> bool:
    return any(
        topic.startswith(each.removesuffix(_WILDCARD)) if each.endswith(_WILDCARD) else topic == each
        for each in patterns
    )
