import inspect

import pytest

from kallback.protocol import (
    InvalidAwakeableIdError,
    KallbackError,
    MissingTopicError,
    UnusableResultError,
    UnverifiedError,
    errors,
)


def error_classes() -> list[type[BaseException]]:
    """Every error class of the module."""
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BaseException)]


@pytest.mark.parametrize("error", error_classes())
def test_every_error_belongs_to_the_one_tree(error: type[BaseException]) -> None:
    """One `except KallbackError` catches everything that kallback raises on purpose."""
    assert issubclass(error, KallbackError)


@pytest.mark.parametrize("error", error_classes())
def test_the_drawn_tree_names_every_error(error: type[BaseException]) -> None:
    """The drawing at the top of the module is complete."""
    assert f" {error.__name__} " in f" {errors.__doc__} ".replace("\n", " ")


@pytest.mark.parametrize("error", [UnverifiedError, InvalidAwakeableIdError, UnusableResultError])
def test_verdict_errors_carry_a_reason_and_a_sentence(error: type[UnverifiedError]) -> None:
    """The reason is a metric label, the detail is what people read."""
    raised = error("no-token", "no token stands in the record")
    assert (raised.reason, raised.detail, str(raised)) == ("no-token", raised.detail, "no token stands in the record")


def test_an_error_of_a_package_leads_to_the_entry_of_its_base() -> None:
    """The catalogue has what the remedy differs for."""

    class LocalError(MissingTopicError):
        """One that only its package knows."""

    assert LocalError("gone").help == MissingTopicError("gone").help
    assert LocalError("gone").help.endswith("/errors/#missing-topic-error")
