"""A group member on aiokafka."""
