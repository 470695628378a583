"""How completions reach Restate, and what its replies mean."""
