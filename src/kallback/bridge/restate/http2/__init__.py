"""HTTP/2 (RFC 9113), the client's side: frames, header blocks and the state of a connection are pure."""
