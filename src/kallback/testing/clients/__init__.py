"""Clients of Restate and endpoints for handlers, for tests on real servers."""
