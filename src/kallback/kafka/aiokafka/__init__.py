"""The clients on aiokafka."""
