"""What a service process says of its tasks: metrics and spans."""
