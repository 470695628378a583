"""HTTP to Restate, and the check of its version."""
