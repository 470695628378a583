"""Verifies a result record and decides what happens to it. Pure."""
