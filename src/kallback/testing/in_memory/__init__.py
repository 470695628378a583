"""Tests without servers: a simulated Restate, a scripted worker, one task run."""
