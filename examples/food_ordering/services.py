"""The Restate side as one application, for any ASGI server that speaks HTTP/2: `hypercorn services:app`."""

from __future__ import annotations

import logging

from cakes import workflow as cakes
from delivery import delivery_manager
from drivers import driver_digital_twin, driver_matcher
from orders import callbacks, workflow

logging.basicConfig(level=logging.INFO)

app = callbacks.app([workflow, delivery_manager, driver_matcher, driver_digital_twin, cakes])
