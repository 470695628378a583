"""Asks Kafka about the topics that a client reads: ids, partitions, and where logs begin. One thread at a time.

librdkafka's consumer says how many partitions a topic has, but not its id, so an admin client is asked. Its answers are
futures: nothing blocks here, and a cluster that does not answer leaves everything as it was.
"""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Final, cast

from kallback.kafka.confluent.admin import close_admin, open_admin
from kallback.kafka.confluent.client import ClientErrors, log
from kallback.kafka.confluent.login import LoginRenewal
from kallback.kafka.confluent.membership.group_member import client_partition, ours
from kallback.kafka.offsets.topic_changes import TOPIC_LOOK_INTERVAL_S, TopicFacts, TopicState
from kallback.kafka.records import TopicPartition
from kallback.protocol.errors import UnavailableError

from confluent_kafka import KafkaError, KafkaException, TopicCollection  # isort: skip - the check comes first
from confluent_kafka import TopicPartition as ClientPartition  # isort: skip
from confluent_kafka.admin import AdminClient, OffsetSpec, TopicDescription  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from concurrent.futures import Future

    from kallback.settings import KafkaSettings

_PATIENCE_S: Final = 5.0
_LEAST_INTERVAL_S: Final = 1.0
_NO_ID: Final = "AAAAAAAAAAAAAAAAAAAAAA"
"""Sixteen zero bytes: of a broker that knows no topic ids."""
_NO_LEADER: Final = -1
"""The leader is then None, which the library's annotations do not say."""


class TopicWatch:
    """Asks every few seconds, and at once after `hurry`.

    Args:
        topics: which are asked about.
    """

    def __init__(self, settings: KafkaSettings, topics: Collection[str]) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._admin: AdminClient | None = None
        self._renewal = LoginRenewal(settings)
        self._next = self._earliest = 0.0
        self._asked: list[tuple[object, Future[Any]]] = []

    def hurry(self) -> None:
        """Ask soon, because something happened to a topic; not more often than once a second."""
        self._next = self._earliest

    def close(self) -> None:
        """Close the connection."""
        admin, self._admin, self._asked = self._admin, None, []
        if admin is not None:
            close_admin(admin)

    def look(self, now: float, begins: Iterable[TopicPartition] = ()) -> TopicFacts | None:
        """Return the answers to the last question once they are there; ask the next one when it is due.

        Args:
            now: monotonic seconds.
            begins: partitions whose first offsets are needed.
        """
        if self._asked:
            if not all(future.done() for _, future in self._asked):
                return None
            asked, self._asked = self._asked, []
            return _facts(asked)
        if now >= self._next:
            self._next, self._earliest = now + TOPIC_LOOK_INTERVAL_S, now + _LEAST_INTERVAL_S
            self._ask(list(begins))
        return None

    def answers(self, timeout: float) -> TopicFacts:
        """Ask now and wait for the answers, which are empty if there are none after so many seconds.

        No callback of the consumer runs meanwhile: this is allowed inside one.
        """
        self._ask([])
        asked, self._asked = self._asked, []
        wait([future for _, future in asked], timeout)
        return _facts((subject, future) for subject, future in asked if future.done())

    def _ask(self, begins: list[TopicPartition]) -> None:
        if self._admin is None:
            try:
                self._renewal = LoginRenewal(self._settings)
                self._admin = self._opened()
            except UnavailableError as error:  # there is no access token now
                log.debug("Kafka is not asked about topics", reason=str(error))
                return
        elif (fresh := self._renewal.renewed(self._admin, self._opened, "topics")) is not None:
            close_admin(self._admin)
            self._admin = fresh
        admin = self._admin
        questions: list[Mapping[Any, Any]] = [
            admin.describe_topics(TopicCollection(self._topics), request_timeout=_PATIENCE_S)
        ]
        if begins:
            earliest = cast("OffsetSpec", OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # the library has no types for it
            questions.append(
                admin.list_offsets(dict.fromkeys(map(client_partition, begins), earliest), request_timeout=_PATIENCE_S)
            )
        self._asked = [each for question in questions for each in question.items()]

    def _opened(self) -> AdminClient:
        return open_admin(self._settings, ClientErrors(self._settings, quiet=True))


def _facts(asked: Iterable[tuple[object, Future[Any]]]) -> TopicFacts:
    topics: dict[str, TopicState | None] = {}
    begins: dict[TopicPartition, int] = {}
    denied: list[str] = []
    for subject, future in asked:
        try:
            answer: Any = future.result()
        except KafkaException as error:
            code = error.args[0].code()
            if isinstance(subject, str) and code == KafkaError.UNKNOWN_TOPIC_OR_PART:
                topics[subject] = None
            elif isinstance(subject, str) and code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                denied.append(subject)
            log.debug("Kafka does not say what was asked about a topic", subject=str(subject), detail=str(error))
            continue
        if isinstance(answer, TopicDescription):
            topic_id = str(answer.topic_id)
            topics[answer.name] = TopicState(
                None if topic_id == _NO_ID else topic_id,
                len(answer.partitions),
                frozenset(each.id for each in answer.partitions if getattr(each.leader, "id", _NO_LEADER) < 0),
            )
        elif isinstance(subject, ClientPartition):
            begins[ours(subject)] = answer.offset
    return TopicFacts(topics, begins, denied=denied)
