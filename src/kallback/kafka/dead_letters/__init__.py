"""Writing, reading and replaying dead letters."""
