"""Sends deliveries to Restate: order, concurrency, retries, outages."""
