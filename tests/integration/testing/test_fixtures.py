"""The fixtures that other integration tests build on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from kallback.settings import Settings, Topics
    from kallback.testing import Stack

pytestmark = pytest.mark.integration


def test_topic_names_exist_on_the_broker(kallback_stack: Stack, topic_names: Topics) -> None:
    """The topics of a test are there before it begins."""
    admin = AdminClient({"bootstrap.servers": kallback_stack.bootstrap_servers})

    there = admin.list_topics(timeout=10).topics

    assert set(topic_names.all()) <= set(there)


def test_links_can_be_made_without_a_gateway(kallback_settings: Settings) -> None:
    """A handler that hands out `waiting.url` failed until the test's timeout; the token is the end of the link."""
    assert kallback_settings.gateway.link("kb1:token").rpartition("/")[2] == "kb1:token"
