"""The HTML page with which the hosts of the exchange refuse a request.

Part of the exchange simulator.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web


def error_page(status: HTTPStatus) -> web.Response:
    """The answer with `status`, as an HTML page."""
    title = f"{status.value} {status.phrase}"
    return web.Response(
        status=status,
        content_type="text/html",
        text=f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n",
    )
