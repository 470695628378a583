"""Kafka and Restate as local processes, or given by their addresses."""
