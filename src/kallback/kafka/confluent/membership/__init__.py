"""One member of a consumer group on librdkafka: its thread, its commits, its partitions."""
