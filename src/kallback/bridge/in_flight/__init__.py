"""in_flight."""
