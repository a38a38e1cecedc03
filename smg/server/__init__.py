"""Inbound HTTP/1.1 on uvloop and httptools. Knows routes and exchanges; no models, workers or
policies.
"""

from __future__ import annotations

from smg.server.exchange import Consumer, Exchange
from smg.server.handlers import Response, coroutine_route, json_response, text_response
from smg.server.listener import HttpServer
from smg.server.routes import Auth, Route
from smg.server.settings import ServerSettings

__all__ = [
    "Auth",
    "Consumer",
    "Exchange",
    "HttpServer",
    "Response",
    "Route",
    "ServerSettings",
    "coroutine_route",
    "json_response",
    "text_response",
]
