"""`public.bybit.com`: the archive's index pages and files.

Part of the exchange simulator.
"""

from __future__ import annotations

import asyncio
import email.utils
import html
from collections.abc import Iterable
from http import HTTPStatus

from aiohttp import web

from local.exchange.faults import BREAK_OFF, SLOW, WRONG_BYTES, Faults
from local.exchange.publication import Opener, OpenFile, Publication, parse_file_name

PREFIX = "/trading/"
_PIECE = 256 * 1024


class Archive:
    """Answers for everything below /trading/."""

    def __init__(self, publication: Publication, opener: Opener, faults: Faults) -> None:
        self._publication = publication
        self._opener = opener
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """What the application serves of this."""
        return [
            web.get(PREFIX, self.symbols),
            web.get(PREFIX + "{symbol}/", self.days),
            web.get(PREFIX + "{symbol}/{name}", self.file),
        ]

    async def symbols(self, request: web.Request) -> web.Response:
        """The page that lists the symbols' folders."""
        return _index(request.path, (f"{symbol}/" for symbol in self._publication.symbols()))

    async def days(self, request: web.Request) -> web.Response:
        """The page that lists a symbol's files; 404 for a symbol without a folder."""
        symbol = request.match_info["symbol"]
        days = self._publication.days(symbol)
        if not days:
            return page(HTTPStatus.NOT_FOUND)
        return _index(request.path, (f"{symbol}{day.isoformat()}.csv.gz" for day in days))

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A day's file, whole, in part, or only its headers; 404 while it is not published."""
        named = parse_file_name(request.match_info["name"])
        if not named or named[0] != request.match_info["symbol"]:
            return page(HTTPStatus.NOT_FOUND)
        path = await self._publication.path(*named)
        if path is None:
            return page(HTTPStatus.NOT_FOUND)
        try:
            async with self._opener.open(path) as file:
                return await self._answer(request, file)
        except (FileNotFoundError, PermissionError):
            return page(HTTPStatus.NOT_FOUND)  # removed since it was found, or not ours to read

    async def _answer(self, request: web.Request, file: OpenFile) -> web.StreamResponse:
        etag = f'"{file.md5}"'
        modified = email.utils.formatdate(file.modified, usegmt=True)
        headers = {"ETag": etag, "Last-Modified": modified, "Accept-Ranges": "bytes"}
        if any(tag.value in (file.md5, "*") for tag in request.if_none_match or ()):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        start, stop = 0, file.size
        if request.headers.get("If-Range", etag) in (etag, modified):
            wanted = _wanted_range(request, file.size)
            if wanted:
                start, stop = wanted
                if start >= stop:
                    headers["Content-Range"] = f"bytes */{file.size}"
                    return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
                headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        status = HTTPStatus.PARTIAL_CONTENT if "Content-Range" in headers else HTTPStatus.OK
        # The file is gzip by its name only: a Content-Encoding would make clients unpack it.
        response = web.StreamResponse(status=status, headers={**headers, "Content-Type": "application/gzip"})
        response.content_length = stop - start
        try:
            await response.prepare(request)
            if request.method == "GET":
                await self._send(request, response, file, start, stop)
        except ConnectionError:
            pass  # the client went away, or we did
        return response

    async def _send(
        self, request: web.Request, response: web.StreamResponse, file: OpenFile, start: int, stop: int
    ) -> None:
        """Send the bytes from `start` to `stop`, spoiled by the faults that are set."""
        length = stop - start
        break_off = self._faults.take(BREAK_OFF, request.path)
        slow = self._faults.take(SLOW, request.path)
        wrong = self._faults.take(WRONG_BYTES, request.path)
        # On a file that is shorter than the fault says, its last byte is the one that suffers.
        end = length if break_off is None else min(int(break_off), length - 1)
        wrong_at = -1 if wrong is None else min(int(wrong), length - 1)
        step = _PIECE if slow is None else max(1, min(_PIECE, int(slow) // 10))
        sent = 0
        while sent < end:
            file.stream.seek(start + sent)
            piece = await asyncio.to_thread(file.stream.read, min(step, end - sent))
            if not piece:
                break  # cut short on disk meanwhile
            if sent <= wrong_at < sent + len(piece):
                at = wrong_at - sent
                piece = piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
            if slow is not None:
                await asyncio.sleep(len(piece) / slow)
            await response.write(piece)
            sent += len(piece)
        if sent < length and request.transport is not None:
            request.transport.close()  # what was written still leaves, then the connection ends


def page(status: HTTPStatus) -> web.Response:
    """An error as the archive's host tells it, an HTML page."""
    title = f"{status.value} {status.phrase}"
    return web.Response(
        status=status,
        content_type="text/html",
        text=f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n",
    )


def _index(path: str, names: Iterable[str]) -> web.Response:
    title = html.escape(f"Index of {path}")
    items = "".join(f'<li><a href="{name}">{name}</a></li>\n' for name in names)
    text = (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1>\n<ul>\n{items}</ul></body></html>\n"
    )
    return web.Response(content_type="text/html", text=text)


def _wanted_range(request: web.Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, None for the whole file; a range that cannot be read is ignored."""
    try:
        wanted = request.http_range
    except ValueError:
        return None
    if wanted.start is None:
        return None
    if wanted.start < 0:
        return max(0, size + wanted.start), size
    return wanted.start, size if wanted.stop is None else min(wanted.stop, size)
