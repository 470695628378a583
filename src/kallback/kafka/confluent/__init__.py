"""confluent."""
