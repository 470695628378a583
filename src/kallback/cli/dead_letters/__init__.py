"""`kallback dead-letters`: list, inspect and replay dead letters."""
