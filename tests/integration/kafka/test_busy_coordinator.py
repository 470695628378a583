"""A broker that cannot say yet what a group has committed is asked again: its answer does not say "nothing"."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from tests.integration.kafka.labs import QUIET, RealLab

from kallback.kafka import ConsumerOptions
from kallback.kafka.aiokafka.membership.group_errors import raise_group_errors
from kallback.testing import KafkaOptions, start_kafka

pytestmark = [pytest.mark.integration]

LOADING, UNAVAILABLE, MOVED = 14, 15, 16
WITH_METADATA = ConsumerOptions(commit_interval=1000, drain_timeout=5, commit_metadata=True)
WITH_HISTORY = ConsumerOptions(commit_interval=1000, drain_timeout=5, mark_history=True)


@pytest.mark.local_servers
async def test_the_answer_of_a_broker_that_is_not_the_coordinator_is_an_error() -> None:
    """Kafka names no partition in it, only the reason. Here the topic of the committed offsets does not exist yet."""
    with start_kafka(KafkaOptions(embedded=False)) as kafka:
        client: Any = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
        raise_group_errors(client)
        await client.bootstrap()
        try:
            with pytest.raises(errors.NotCoordinatorForGroupError):
                await client.send(client.get_random_node(), OffsetFetchRequest("g", [("t", [0])]))
        finally:
            await client.close()


@pytest.mark.parametrize("lab", ["aiokafka"], indirect=True)
@pytest.mark.parametrize("code", [LOADING, UNAVAILABLE, MOVED])
@pytest.mark.parametrize("options", [QUIET, WITH_METADATA, WITH_HISTORY], ids=["plain", "metadata", "history"])
async def test_a_member_goes_on_where_its_group_has_committed(
    lab: RealLab, monkeypatch: pytest.MonkeyPatch, options: ConsumerOptions, code: int
) -> None:
    """It does not read its partitions from their beginning, and does not take what comes for history."""
    topic, group = lab.topic(), lab.new_group()
    await lab.send(topic, "old")
    first = await lab.consumer(topic, group, options)
    for record in await lab.receive(first, 1):
        first.done(record)
    await first.stop()
    answers = refuse(monkeypatch, code, times=2)
    await lab.send(topic, "new")
    second = await lab.consumer(topic, group, options)
    (record,) = await lab.receive(second, 1)
    assert (lab.values([record]), record.history) == (["new"], False)
    assert not answers


def refuse(monkeypatch: pytest.MonkeyPatch, code: int, times: int) -> list[Any]:
    """Have the first questions of each kind answered as by a coordinator that is not ready; return what is left."""
    answers: list[Any] = [OffsetFetchResponse_v3(0, [], code) for _ in range(times)]
    client: Any = AIOKafkaClient
    send = client.send

    async def answered(self: Any, node_id: Any, request: Any, **options: Any) -> Any:
        if isinstance(request, OffsetFetchRequest) and answers:
            return answers.pop()
        return await send(self, node_id, request, **options)

    monkeypatch.setattr(client, "send", answered)
    return answers
