"""`kallback new`: a project to begin with, which is examples/starter under another name."""
