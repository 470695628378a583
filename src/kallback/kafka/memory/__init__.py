"""The broker in memory and its clients, for tests without a server."""
