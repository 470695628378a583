"""The clients on confluent-kafka (librdkafka)."""
