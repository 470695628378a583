"""Topics that tasks name for their results and progress: which a worker answers to, and which exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kallback.kafka import Record
from kallback.protocol import KafkaUnavailableError
from kallback.settings import Topics
from kallback.workers.attempts.reply_policy import ReplyPolicy
from kallback.workers.intake.reply_topics import ReplyTopics

if TYPE_CHECKING:
    from tests.unit.workers.environment import WorkerEnv

OWN = Topics()
TASKS = frozenset({"kallback.tasks", "orders"})


@pytest.mark.parametrize(
    ("reply_to", "policy", "allowed"),
    [
        ("kallback.results", ReplyPolicy(), True),
        ("kallback.results-of-another-service", ReplyPolicy(), True),
        ("acme.results", ReplyPolicy(), False),
        ("acme.results", ReplyPolicy(Topics(reply_to=frozenset({"acme.results"}))), True),
        ("acme.results", ReplyPolicy(Topics(reply_to=frozenset({"acme.*"}))), True),
        ("acme.results", ReplyPolicy(Topics(reply_to=frozenset({"acme"}))), False),
        ("acme.results", ReplyPolicy(allowed=frozenset({"*"})), True),
        ("kallback.other", ReplyPolicy(allowed=frozenset({"acme.*"})), False),
        ("mine", ReplyPolicy(Topics(results="mine")), True),
        ("acme.results", ReplyPolicy(Topics(more_results=frozenset({"acme.results"}))), True),
        ("restaurant.prepare", ReplyPolicy(Topics(prefix="")), False),
    ],
)
def test_a_worker_answers_to_its_own_installation_and_what_its_operator_adds(
    env: WorkerEnv,
    reply_to: str,
    policy: ReplyPolicy,
    allowed: bool,  # noqa: FBT001 - a table
) -> None:
    """By default to what begins with the prefix; an empty prefix tells nothing."""
    refusal = policy.refusal_of(env.headers(reply_to=reply_to))
    assert (refusal is None) is allowed
    assert allowed or "KALLBACK_TOPICS_REPLY_TO" in str(refusal)


@pytest.mark.parametrize("topic", [OWN.control, OWN.outcomes, OWN.dead_letters, *sorted(TASKS)])
@pytest.mark.parametrize("allowed", [None, frozenset({"*"})])
def test_no_task_makes_a_worker_write_to_topics_of_other_parts(
    env: WorkerEnv, topic: str, allowed: frozenset[str] | None
) -> None:
    """A result in the control topic would be a cancel, one in a task topic a task: whatever is allowed."""
    policy = ReplyPolicy(OWN, TASKS, allowed)
    for headers in (env.headers(reply_to=topic), env.headers(progress_to=topic)):
        assert "only other parts" in str(policy.refusal_of(headers))


def test_results_and_progress_have_topics_of_their_own(env: WorkerEnv) -> None:
    """A heartbeat with a token in the results topic would complete the task."""
    policy = ReplyPolicy(OWN, TASKS, frozenset({"*"}))
    assert policy.refusal_of(env.headers(reply_to=OWN.progress)) is not None
    assert policy.refusal_of(env.headers(progress_to=OWN.results)) is not None


async def test_a_missing_reply_topic_holds_no_slot(env: WorkerEnv, caplog: pytest.LogCaptureFixture) -> None:
    """160 tasks that name 160 missing topics are dead-lettered unrun, with one list of topics and one line."""
    worker = env.worker(concurrency=1)
    done = env.cook(worker)
    listed = counted(env)
    for number in range(160):
        env.send(f"forged{number}", reply_to=f"kallback.nowhere-{number}")
    env.send("good")
    async with worker:
        await env.settled(161)

    assert (done, len(env.dead())) == (["good"], 160)
    assert set(env.dead()) == {"refused-reply-topic"}
    assert caplog.text.count("does not exist") <= 2  # one of the topic, one of the dead letter
    assert len(listed) <= 3  # the test takes seconds on a busy machine, and a list is good for one


def counted(env: WorkerEnv) -> list[None]:
    """Grows by one each time that the topics are listed."""
    listed, list_topics = list[None](), env.clients.list_topics

    async def count() -> frozenset[str]:
        listed.append(None)
        return await list_topics()

    env.clients.list_topics = count  # type: ignore[method-assign]  # a test's own seam
    return listed


class Directory:
    """What `ReplyTopics` sees of a cluster."""

    def __init__(self) -> None:
        self.names = frozenset({"a"})
        self.now = 100.0
        self.listed = 0
        self.failure: Exception | None = None
        self.topics = ReplyTopics({"own"}, lambda topic: topic != "refused", self.list_topics, lambda: self.now)

    async def list_topics(self) -> frozenset[str]:
        """The names, or the failure."""
        self.listed += 1
        if self.failure is not None:
            raise self.failure
        return self.names

    async def learn(self, *topics: str) -> None:
        """Tasks come that name these topics."""
        headers = [((("kallback-reply-to", topic.encode()),)) for topic in topics]
        await self.topics.learn([Record("t", 0, 0, 0, None, b"", each) for each in headers])


@pytest.fixture
def directory() -> Directory:
    """A cluster with one topic."""
    return Directory()


async def test_own_topics_and_refused_ones_are_not_looked_for(directory: Directory) -> None:
    """Nor is anything without a task that names another topic."""
    await directory.learn("own", "refused")
    await directory.learn()
    assert directory.listed == 0
    assert not directory.topics.is_missing("own")


@pytest.mark.parametrize(("topic", "seconds"), [("a", 60), ("b", 1)])
async def test_a_list_is_made_anew_when_it_is_too_old(directory: Directory, topic: str, seconds: float) -> None:
    """Sooner for a topic that it lacks: the topic may be new."""
    await directory.learn(topic)
    directory.now += seconds
    await directory.learn(topic)
    assert directory.listed == 1
    directory.now += 0.1
    await directory.learn(topic)
    assert directory.listed == 2


async def test_a_topic_that_is_created_is_found(directory: Directory) -> None:
    """Its tasks run a second later."""
    await directory.learn("b")
    assert directory.topics.is_missing("b")
    directory.names |= {"b"}
    directory.now += 1.1
    await directory.learn("b")
    assert not directory.topics.is_missing("b")


async def test_without_a_list_no_topic_counts_as_missing(directory: Directory) -> None:
    """Kafka is away: the tasks wait for it as others do."""
    directory.failure = KafkaUnavailableError("no broker answers")
    await directory.learn("b")
    assert not directory.topics.is_missing("b")
