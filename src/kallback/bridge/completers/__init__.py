"""completers."""
