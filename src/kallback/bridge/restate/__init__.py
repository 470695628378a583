"""restate."""
