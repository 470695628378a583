"""A running task of a handler: published, waited for, retried, cancelled; alone or with many others."""
