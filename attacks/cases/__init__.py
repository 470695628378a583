"""The attacks, a module for each kind of thing that is written."""
