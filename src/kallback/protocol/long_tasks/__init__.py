"""What tasks with heartbeats need beyond request and result: progress, its monitor, attempts that are handed back."""
