"""What is between fetch and done: records, deliveries, limits, and when a record is parked."""
