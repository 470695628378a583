"""Durable request/reply over Kafka for Restate handlers.

The public names are in the packages: `kallback.sdk` for handlers, `kallback.workers` for workers, `kallback.bridge` for
the bridge, `kallback.protocol` for what all of them share, `kallback.testing` for tests.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
