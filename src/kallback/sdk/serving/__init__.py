"""Serves a Restate application over HTTP/2: `kallback service MODULE:NAME`, and the tests.

Restate talks to handlers over bidirectional HTTP/2 streams; of the usual ASGI servers, hypercorn supports them.
"""

from kallback.protocol.errors import MissingExtraError

try:
    import hypercorn.asyncio as _hypercorn
except ModuleNotFoundError as error:
    raise MissingExtraError('hypercorn is not installed: pip install "kallback[service]"') from error

from kallback.sdk.serving.server import GRACE, LOOPBACK, end_on_signals, serve_app
from kallback.sdk.serving.stats import ServiceStats

del _hypercorn

__all__ = ["GRACE", "LOOPBACK", "ServiceStats", "end_on_signals", "serve_app"]
