"""Which records are buffered, handed out, done and committed: the bookkeeping that all clients share."""
