"""How long it takes to list thousands of pending tasks, and what browsers that look at them cost."""
