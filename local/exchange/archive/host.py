"""The host `public.bybit.com`: the archive's index pages and files.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import email.utils
import html
from collections.abc import Iterable
from http import HTTPStatus

from aiohttp import web

from local.exchange.archive.publication import Opener, OpenFile, Publication, parse_file_name
from local.exchange.shared.error_page import error_page
from local.exchange.shared.faults import BREAK_OFF, SLOW, WRONG_BYTES, Faults

PREFIX = "/trading/"
"""The beginning of every path of this host."""

_PIECE_BYTES = 256 * 1024


class ArchiveHost:
    """The handlers of every path below /trading/."""

    def __init__(self, publication: Publication, opener: Opener, faults: Faults) -> None:
        self._publication = publication
        self._opener = opener
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """The routes of this host."""
        return [
            web.get(PREFIX, self.symbols),
            web.get(PREFIX + "{symbol}/", self.days),
            web.get(PREFIX + "{symbol}/{name}", self.file),
        ]

    async def symbols(self, request: web.Request) -> web.Response:
        """The page that lists the folders of the symbols."""
        return _index(request.path, (f"{symbol}/" for symbol in self._publication.symbols()))

    async def days(self, request: web.Request) -> web.Response:
        """The page that lists the files of a symbol; 404 for a symbol without files."""
        symbol = request.match_info["symbol"]
        days = self._publication.days(symbol)
        if not days:
            return error_page(HTTPStatus.NOT_FOUND)
        return _index(request.path, (f"{symbol}{day.isoformat()}.csv.gz" for day in days))

    async def file(self, request: web.Request) -> web.StreamResponse:
        """The file of a day, whole, in part, or its headers only; 404 while it is not published."""
        named = parse_file_name(request.match_info["name"])
        if not named or named[0] != request.match_info["symbol"]:
            return error_page(HTTPStatus.NOT_FOUND)
        path = await self._publication.path(*named)
        if path is None:
            return error_page(HTTPStatus.NOT_FOUND)
        try:
            async with self._opener.open(path) as file:
                return await self._answer(request, file)
        except (FileNotFoundError, PermissionError):
            return error_page(HTTPStatus.NOT_FOUND)  # the file was removed since it was found, or cannot be read

    async def _answer(self, request: web.Request, file: OpenFile) -> web.StreamResponse:
        etag = f'"{file.md5}"'
        modified = email.utils.formatdate(file.modified, usegmt=True)
        headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if any(tag.value in (file.md5, "*") for tag in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        start, stop = 0, file.size
        if request.headers.get("If-Range", etag) in (etag, modified):
            requested = _requested_range(request, file.size)
            if requested:
                start, stop = requested
                if start >= stop:
                    headers["Content-Range"] = f"bytes */{file.size}"
                    return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        status = HTTPStatus.PARTIAL_CONTENT if "Content-Range" in headers else HTTPStatus.OK
        # No Content-Encoding, as on the real host: with it clients would decompress the body.
        response = web.StreamResponse(status=status, headers={**headers, "Content-Type": "application/gzip"})
        response.content_length = stop - start
        try:
            await response.prepare(request)
            if request.method == "GET":
                await self._send(request, response, file, start, stop)
        except ConnectionError:
            pass  # the client or this server has closed the connection
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, file: OpenFile, start: int, stop: int
    ) -> None:
        """Send the bytes from `start` to `stop` with the faults that are set."""
        length = stop - start
        break_off = self._faults.take(BREAK_OFF, request.path)
        slow = self._faults.take(SLOW, request.path)
        wrong = self._faults.take(WRONG_BYTES, request.path)
        # In a file that is shorter than the fault's position, the fault shows at the last byte.
        end = length if break_off is None else min(int(break_off), length - 1)
        wrong_at = -1 if wrong is None else min(int(wrong), length - 1)
        step = _PIECE_BYTES if slow is None else max(1, min(_PIECE_BYTES, int(slow) // 10))
        sent = 0
        while sent < end:
            file.stream.seek(start + sent)
            piece = await asyncio.to_thread(file.stream.read, min(step, end - sent))
            if not piece:
                break  # the file was truncated on disk meanwhile
            if sent <= wrong_at < sent + len(piece):
                at = wrong_at - sent
                piece = piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
            if slow is not None:
                await asyncio.sleep(len(piece) / slow)
            await response.write(piece)
            sent += len(piece)
        if sent < length and request.transport is not None:
            request.transport.close()  # ends the connection after the bytes that are already written


def _index(path: str, names: Iterable[str]) -> web.Response:
    title = html.escape(f"Index of {path}")
    items = "".join(f'<li><a href="{name}">{name}</a></li>\n' for name in names)
    text = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1>\n<ul>\n{items}</ul></body></html>\n"
    )
    return web.Response(content_type="text/html", text=text)


def _requested_range(request: web.Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole file, which also answers a range in a wrong form."""
    try:
        requested = request.http_range
    except ValueError:
        return None
    if requested.start is None:
        return None
    if requested.start < 0:
        return max(0, size + requested.start), size
    return requested.start, size if requested.stop is None else min(requested.stop, size)
