"""Task functions as users register them: their shapes, executors and limits."""
