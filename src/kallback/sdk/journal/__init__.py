"""What a task leaves in Restate's journal: its identity, its awakeables, the steps that publish, and their serdes."""
