"""Names of tasks, task types and topics on the command line: what cannot be one is refused before a server is asked."""

from __future__ import annotations

import click
import pytest

from kallback.cli.names import topic_named
from kallback.protocol import ConfigurationError


@pytest.mark.parametrize("name", ["x" * 10_000, "a\x1b[31mb", "../x", "[bold]", " "])
def test_what_kafka_would_not_take_is_no_name(name: str) -> None:
    """The sentence has the beginning of a long one, and control characters as text."""
    with pytest.raises(click.UsageError) as refused:
        topic_named(name)
    assert len(refused.value.message) < 300
    assert refused.value.message.isprintable()


def test_the_name_of_a_type_is_its_topics() -> None:
    """A type whose topic has another name is given as MODULE:NAME."""
    assert topic_named("restaurant.prepare") == "restaurant.prepare"


@pytest.mark.parametrize("path", ["shop/orders.py", "./shop/orders.py"])
def test_a_file_is_no_type(path: str) -> None:
    """`kallback doctor shop/orders.py` looked for a topic; the sentence has the form to type."""
    with pytest.raises(ConfigurationError, match=r"for example shop\.orders:prepare"):
        topic_named(path)
