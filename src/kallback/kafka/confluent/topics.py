"""Making and checking topics with librdkafka's admin client; its calls block, so they run in a thread."""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, cast

from kallback.kafka.confluent.admin import connected
from kallback.kafka.confluent.client import failure_of, in_thread
from kallback.kafka.errors import DENIED, INVALID_TOPIC, MISSING_TOPIC
from kallback.kafka.topics import Created, Differs, Existed, Hidden, Missing, until_visible
from kallback.protocol.errors import AccessDeniedError, ConfigurationError, MissingTopicError

from confluent_kafka import KafkaError, KafkaException, TopicCollection  # isort: skip - the check comes first
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, NewTopic, ResourceType  # isort: skip

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Sequence

    from kallback.kafka.topics import TopicFinding, TopicSpec
    from kallback.settings import KafkaSettings

_INVALID: Final = frozenset({37, 38, 40, 42, 44})  # partitions, replication, config, request, policy


async def create_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """See `kallback.kafka.create_topics`."""
    found = await asyncio.to_thread(_create, settings, specs)
    created = [each.name for each in found if isinstance(each, Created)]
    with suppress(MissingTopicError, AccessDeniedError):  # they are there all the same
        await _until_known(settings, created)
    return found


async def _until_known(settings: KafkaSettings, created: Sequence[str]) -> None:
    """Wait until clients find topics: Kafka acknowledges a new one before it answers for it."""

    async def check() -> None:
        await in_thread(lambda abandoned: _check(settings, created, abandoned))

    if created:
        await until_visible(check, settings.connect_timeout)


async def compare_topics(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    """See `kallback.kafka.compare_topics`."""
    return await in_thread(lambda abandoned: _compare(settings, specs, abandoned))


async def check_topics(settings: KafkaSettings, names: Sequence[str]) -> None:
    """See `kallback.kafka.check_topics`."""
    await until_visible(lambda: in_thread(lambda abandoned: _check(settings, names, abandoned)))


async def list_topics(settings: KafkaSettings) -> frozenset[str]:
    """See `kallback.kafka.list_topics`."""
    return await in_thread(lambda abandoned: _list(settings, abandoned))


async def find_missing(settings: KafkaSettings, names: Sequence[str]) -> list[Missing | Hidden]:
    """See `kallback.kafka.find_missing`."""
    return await in_thread(lambda abandoned: _find_missing(settings, names, abandoned)) if names else []


def _check(settings: KafkaSettings, names: Sequence[str], abandoned: threading.Event) -> None:
    with connected(settings, names, abandoned):
        pass


def _create(settings: KafkaSettings, specs: Sequence[TopicSpec]) -> list[TopicFinding]:
    if not specs:
        return []
    wanted = [NewTopic(each.name, each.partitions, each.replication, config=dict(each.config)) for each in specs]
    with connected(settings) as admin:
        futures = admin.create_topics(wanted, request_timeout=settings.connect_timeout)
        return [_finding(admin, settings, each, futures[each.name].exception()) for each in specs]


def _finding(
    admin: AdminClient, settings: KafkaSettings, spec: TopicSpec, failure: BaseException | None
) -> TopicFinding:
    if failure is None:
        return Created(spec.name)
    if not isinstance(failure, KafkaException):
        raise failure
    error: KafkaError = failure.args[0]
    if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return _compared(admin, settings, spec)
    what = f"creating {spec.name!r}"
    if error.code() in _INVALID:
        raise ConfigurationError(
            f"{what} was refused: {error.str().rstrip('.')}; correct the names and options of the command"
        )
    raise failure_of(error, settings, what=what, topic=spec.name)


def _compare(settings: KafkaSettings, specs: Sequence[TopicSpec], abandoned: threading.Event) -> list[TopicFinding]:
    with connected(settings, abandoned=abandoned) as admin:
        there = _names(admin, settings)
        _refuse_hidden(admin, settings, [each.name for each in specs if each.name not in there])
        return [_compared(admin, settings, each) if each.name in there else Missing(each.name) for each in specs]


def _list(settings: KafkaSettings, abandoned: threading.Event) -> frozenset[str]:
    with connected(settings, abandoned=abandoned) as admin:
        return _names(admin, settings)


def _names(admin: AdminClient, settings: KafkaSettings) -> frozenset[str]:
    with _described(settings, "listing topics (DESCRIBE)"):
        return frozenset(admin.list_topics(timeout=settings.connect_timeout).topics)  # asking for one could create it


def _find_missing(settings: KafkaSettings, names: Sequence[str], abandoned: threading.Event) -> list[Missing | Hidden]:
    found = list[Missing | Hidden]()
    with connected(settings, abandoned=abandoned) as admin:
        for name, error in _failures(admin, settings, names).items():
            code = error.args[0].code()
            if code in DENIED:
                found.append(Hidden(name))
            elif code in MISSING_TOPIC | INVALID_TOPIC:
                found.append(Missing(name))
            elif code < 0:  # librdkafka's own: no broker answered; what a broker says else is of a topic that it knows
                with _described(settings, "looking up topics (DESCRIBE)"):
                    raise error
    return found


def _refuse_hidden(admin: AdminClient, settings: KafkaSettings, names: Sequence[str]) -> None:
    """Raise for those that Kafka's list leaves out because this user may not see them."""
    failures = _failures(admin, settings, names)
    hidden = {repr(name): error for name, error in failures.items() if error.args[0].code() in DENIED}
    if hidden:
        with _described(settings, f"looking up {', '.join(hidden)} (DESCRIBE)"):
            raise next(iter(hidden.values()))


def _failures(admin: AdminClient, settings: KafkaSettings, names: Sequence[str]) -> dict[str, KafkaException]:
    """Ask for topics by their names, all at once, and return what Kafka refuses; the question creates none."""
    if not names:
        return {}
    futures = admin.describe_topics(TopicCollection(list(names)), request_timeout=settings.connect_timeout)
    failures = {name: future.exception() for name, future in futures.items()}
    return {name: error for name, error in failures.items() if isinstance(error, KafkaException)}


def _compared(admin: AdminClient, settings: KafkaSettings, spec: TopicSpec) -> Differs | Existed:
    differences = _differences(admin, settings, spec)
    return Differs(spec.name, differences) if differences else Existed(spec.name)


def _differences(admin: AdminClient, settings: KafkaSettings, spec: TopicSpec) -> tuple[str, ...]:
    found = _partitions(admin, settings, spec.name)
    differences = [] if found == spec.partitions else [f"partitions: {found}, wanted {spec.partitions}"]
    if spec.config:
        config = _options(admin, settings, spec.name)
        for option, wanted in spec.config.items():
            actual = config[option].value if option in config else None
            if actual != wanted:
                differences.append(f"{option}: {actual}, wanted {wanted}")
    return tuple(differences)


def _partitions(admin: AdminClient, settings: KafkaSettings, topic: str) -> int:
    with _described(settings, f"looking up {topic!r} (DESCRIBE)"):
        found = admin.list_topics(topic, settings.connect_timeout).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
    return len(found.partitions)


def _options(admin: AdminClient, settings: KafkaSettings, topic: str) -> dict[str, ConfigEntry]:
    with _described(settings, f"looking up the options of {topic!r} (DESCRIBE_CONFIGS)"):
        resource = ConfigResource(ResourceType.TOPIC, topic)
        (future,) = admin.describe_configs([resource], request_timeout=settings.connect_timeout).values()
        return cast("dict[str, ConfigEntry]", future.result())


@contextmanager
def _described(settings: KafkaSettings, what: str) -> Generator[None]:
    """Raise errors of our tree; a topic that exists but is unknown is not missing, the broker has yet to hear of it."""
    try:
        yield
    except KafkaException as error:
        raise failure_of(error.args[0], settings, what=what) from None
