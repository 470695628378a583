"""`kallback contract`: exports, compares and checks contracts of task types."""
