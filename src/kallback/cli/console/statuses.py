"""The status of a page that cannot be made because of an error."""

from __future__ import annotations

from http import HTTPStatus

from kallback.operations import UnreadableJournalsError
from kallback.protocol import ConfigurationError, KallbackError, UnavailableError


def status_of(error: KallbackError) -> HTTPStatus:
    """Return the status: 500 is for what nobody has foreseen.

    503 also where a setting, a topic or a permission must change first, as for the gateway.
    """
    match error:
        case UnavailableError() | ConfigurationError():
            return HTTPStatus.SERVICE_UNAVAILABLE
        case UnreadableJournalsError():
            return HTTPStatus.NOT_FOUND
        case _:
            return HTTPStatus.INTERNAL_SERVER_ERROR
