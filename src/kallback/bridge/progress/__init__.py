"""Forwards the progress of running tasks, and reports up to when topics were consumed."""
