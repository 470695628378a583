"""`kallback console`: pages for operators in a web browser, made on the server."""
