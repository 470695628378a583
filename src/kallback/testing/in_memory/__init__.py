"""in_memory."""
