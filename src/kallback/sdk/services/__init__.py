"""Completing awakeables from other services: `NotifierService` for batches, functions for handlers."""
