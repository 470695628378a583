"""Heartbeats and lost attempts: the virtual objects `TaskMonitor` and `ConsumedMarks`, and the pure decisions."""
