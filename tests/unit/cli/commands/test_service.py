import pytest

from kallback.cli.commands.service import load_app
from kallback.protocol import ConfigurationError
from kallback.sdk.serving import serve_app


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("handler", "MODULE:NAME"),
        ("no_such_module_here:app", "no module"),
        ("kallback.cli.commands.service:nothing", "has no 'nothing'"),
    ],
)
def test_a_target_that_is_no_application_says_what_to_write(target: str, sentence: str) -> None:
    """The remedy is in the sentence."""
    with pytest.raises(ConfigurationError, match=sentence):
        load_app(target)


def test_an_application_is_found_by_module_and_name() -> None:
    """Anything that can be called will do: an ASGI application is a function."""
    assert load_app("kallback.sdk.serving:serve_app") is serve_app
