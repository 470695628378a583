"""The fixtures that other integration tests build on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from kallback.settings import Topics
    from kallback.testing import Stack

pytestmark = pytest.mark.integration


def test_topic_names_exist_on_the_broker(kallback_stack: Stack, topic_names: Topics) -> None:
    """The topics of a test are there before it begins."""
    admin = AdminClient({"bootstrap.servers": kallback_stack.bootstrap_servers})

    there = admin.list_topics(timeout=10).topics

    assert set(topic_names.all()) <= set(there)
