"""Tests sign with a published key; set before the service is imported."""

import os

os.environ.setdefault("KALLBACK_INSECURE", "1")
