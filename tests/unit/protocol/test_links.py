"""Links of tasks."""

import pytest

from kallback.protocol.links import link_of


@pytest.mark.parametrize("base", ["https://example.com", "https://example.com/"])
def test_a_link_is_the_address_and_the_token(base: str) -> None:
    """With one slash between them."""
    assert link_of(base, "kb1:x") == "https://example.com/v1/kb1:x"
