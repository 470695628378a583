"""A small server of HTTP/1.1 for clients that are not trusted: the ports of gateway and console.

It reads requests, bounds them, and sends answers; what the answers are is the business of its owner.
"""

from kallback.web.connection import AnswersRequests
from kallback.web.messages import HttpHead, HttpResponse, RefusedRequestError, refused
from kallback.web.options import ServerOptions, ServerStats
from kallback.web.server import WebServer

__all__ = [
    "AnswersRequests",
    "HttpHead",
    "HttpResponse",
    "RefusedRequestError",
    "ServerOptions",
    "ServerStats",
    "WebServer",
    "refused",
]
