"""The page at `/`: Dash serves its layout, the style sheet and the JavaScript modules in `assets`.

Part of the dashboard. Figures never pass through Dash: the modules read the API and the stream by themselves.

The assets' URLs carry a version that follows from their content. Relative imports inherit it, so a page never mixes
modules of two deployments, and browsers may keep every file for good. They are read and compressed once, at the start:
a page requests some twenty of them.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from pathlib import Path
from typing import Final

from dash import Dash, Input, Output, clientside_callback
from fastapi import FastAPI, Request, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.layout import layout

ASSETS: Final = Path(__file__).parent / "assets"
ENTRY: Final = "page.js"
"""The module whose `start` runs the page."""
CLASSIC: Final = "lightweight-charts-5.2.1.js"
"""The one script that is no module; it defines a global name."""
MODULES: Final = tuple(sorted(file.name for file in ASSETS.glob("*.js") if file.name != CLASSIC))

_INDEX: Final = """<!DOCTYPE html>
<html lang="en" data-theme="dark">
<head>{%metas%}<title>{%title%}</title>{%favicon%}{%css%}PRELOADED</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""

# A client-side callback: Dash calls it after it has rendered the layout, and again if it renders the configuration
# anew, which `window.candles` turns into a no-op. A dynamic import is used because a script element may load too late.
_START: Final = """(config) => import("ENTRY")
  .then((page) => window.candles || page.start(config))
  .then(() => window.dash_clientside.no_update)"""


def add_page(app: FastAPI, symbol: str) -> None:
    """Put the page at `/` of `app`, after its other routes. `symbol`: that of a page whose URL names none."""
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    folder = f"/assets/{assets_version()}/"
    add_assets(app, folder)
    # At low priority: Dash's own scripts are larger, and the page starts only after them.
    preloaded = "".join(f'<link rel="modulepreload" fetchpriority="low" href="{folder}{name}">' for name in MODULES)
    dash = Dash(
        __name__,
        server=app,  # type: ignore[arg-type]  # its types know Flask only
        assets_folder=str(ASSETS),
        assets_url_path=folder.strip("/"),
        assets_ignore=rf"^(?!{re.escape(CLASSIC)}$).*\.js$",  # Dash would load the modules as classic scripts
        title="Candles",
        update_title="",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1, viewport-fit=cover"}],
        index_string=_INDEX.replace("PRELOADED", preloaded),
        serve_locally=True,
    )
    dash.backend.websocket_capability = False  # else each page keeps a websocket for server callbacks; there are none
    dash.layout = layout(symbol)
    clientside_callback(_START.replace("ENTRY", folder + ENTRY), Output("started", "data"), Input("config", "data"))
    policy = (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'; script-src 'self' {' '.join(dash.csp_hashes())}"
    )
    app.add_middleware(SecurityHeaders, policy=policy)


def assets_version() -> str:
    """Twelve hex digits that follow from the names and the content of all assets."""
    digest = hashlib.sha256()
    for file in sorted(ASSETS.iterdir()):
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)} ".encode() + content)
    return digest.hexdigest()[:12]


def add_assets(app: FastAPI, folder: str) -> None:
    """Serve every asset under `folder` of `app`, from memory."""
    files = {file.name: file.read_bytes() for file in ASSETS.iterdir()}
    compressed = {name: gzip.compress(content, 9, mtime=0) for name, content in files.items()}
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}

    @app.get(folder + "{name}")
    async def asset(name: str, request: Request) -> Response:
        if name not in files:
            return Response(status_code=404)
        media_type = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        if "gzip" in request.headers.get("accept-encoding", ""):
            encoding = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            return Response(compressed[name], 200, headers | encoding, media_type)
        return Response(files[name], 200, headers, media_type)


class SecurityHeaders:
    """Middleware that adds the headers by which a page loads nothing from other hosts; it buffers no response."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self._app = app
        self._security = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request as ASGI defines it."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._security]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
