"""Calls of task functions: on the loop, in threads, in child processes."""
