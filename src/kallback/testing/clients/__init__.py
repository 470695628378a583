"""Clients for tests on real servers: Restate's ingress and admin API, and served applications."""
