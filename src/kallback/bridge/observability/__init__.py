"""Metrics, probes and traces of a bridge."""
