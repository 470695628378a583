"""The loop that one would write first: poll, post with httpx, commit. `python -m benchmarks.naive TOPIC`."""

from __future__ import annotations

import sys
from typing import cast

import httpx
from confluent_kafka import Consumer

from kallback.protocol import Completed, read_result, seal
from kallback.settings import Settings


def main() -> None:
    """Read until killed."""
    settings = Settings.from_env()
    keyring = settings.keys.require()
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "naive",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([sys.argv[1]])
    print("reading", flush=True)
    with httpx.Client(base_url=settings.restate.ingress_url, headers={"content-type": "application/json"}) as http:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error() is not None:
                continue
            headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
            result = read_result(message.value(), headers)
            token = keyring.verify(result.token, settings.keys.audience)
            body = seal(token.task_id, token.attempt, Completed(result.body))
            http.post(f"/restate/awakeables/{token.awakeable_id}/resolve", content=body).raise_for_status()
            consumer.commit(message=message, asynchronous=False)


if __name__ == "__main__":
    main()
