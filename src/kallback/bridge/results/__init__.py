"""Decides what happens to a result record. Pure."""
