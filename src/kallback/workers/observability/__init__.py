"""What a worker shows: counts, metrics, probes, the health port."""
