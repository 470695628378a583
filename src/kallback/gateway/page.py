"""The page of a link that is opened: opening completes nothing. It is the same for each link, good or bad."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from kallback.web.messages import HTML, HttpResponse

_PAGE: Final = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>A task waits for an answer</title></head>
<body><main><h1>A task waits for an answer</h1>
<p>This link answers one task, once. Opening it has answered nothing.</p>
<p>To answer, send a POST request with the answer as JSON to this address. Add <code>/failure</code> to refuse.</p>
</main></body></html>
"""
_HEADERS: Final = (
    ("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
)

LINK_PAGE: Final = HttpResponse("page", HTTPStatus.OK, _PAGE, HTML, _HEADERS)
