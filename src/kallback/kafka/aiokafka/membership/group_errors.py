"""Raises what Kafka says about a whole group that is asked for its committed offsets, which aiokafka does not look at.

A broker that is not the group's coordinator any more, or still loads its offsets, answers without partitions, and with
the reason for the whole group. To aiokafka such an answer says that nothing is committed: a member would read its
partitions from their beginning, and take all of them for history. With an error it asks again.

As with fetches (`FetchScreen`), the wrapped method is `AIOKafkaClient.send`; a test holds this against aiokafka. The
answer is Kafka's OffsetFetch (https://kafka.apache.org/protocol#The_Messages_OffsetFetch) of version 2 or later.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from typing import Any, Final

from aiokafka import errors

_OFFSET_FETCH: Final = 9
_NO_ERROR: Final = 0


def raise_group_errors(client: Any) -> None:
    """Have an `AIOKafkaClient` raise an error of aiokafka in place of such an answer; before it starts."""
    send = client.send

    async def send_and_look(node_id: Any, request: Any, **options: Any) -> Any:
        response = await send(node_id, request, **options)
        if getattr(response, "API_KEY", None) == _OFFSET_FETCH:
            code = getattr(response, "error_code", _NO_ERROR)
            if code != _NO_ERROR:
                raise errors.for_code(code)
        return response

    client.send = send_and_look
