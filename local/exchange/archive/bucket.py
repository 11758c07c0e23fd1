"""The bucket behind the archive in the form of S3's listing: keys, sizes and md5 of the files.

Part of the exchange simulator. In reality it is a host of its own, so the archive's rate limit does not apply to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from http import HTTPStatus
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from bitcoin_pipeline.names import archive_folder, archive_key
from local.exchange.archive.publication import Opener, Publication, parse_file_name

BUCKET = "public.bybit.com"
_MAX_KEYS = 1000
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Bucket:
    """The handler of the bucket's listing, addressed by path."""

    def __init__(self, publication: Publication, opener: Opener) -> None:
        self._publication = publication
        self._opener = opener

    def routes(self) -> list[web.RouteDef]:
        """The routes of this host."""
        return [web.get(f"/{BUCKET}/", self.listing), web.get(f"/{BUCKET}", self.listing)]

    async def listing(self, request: web.Request) -> web.Response:
        """A page of the keys that begin with `prefix`, after `marker`, as ListObjects (version 1) returns it."""
        query = request.query
        if query.get("delimiter") or "list-type" in query:
            message = "this bucket lists by prefix, marker and max-keys only"
            return _error(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", message)
        prefix, marker, limit_text = (
            query.get("prefix", ""),
            query.get("marker", ""),
            query.get("max-keys", str(_MAX_KEYS)),
        )
        if not (limit_text.isascii() and limit_text.isdigit() and len(limit_text) < 10):
            message = f"max-keys must be a whole number from 0, got {limit_text!r}"
            return _error(HTTPStatus.BAD_REQUEST, "InvalidArgument", message)
        max_keys = min(int(limit_text), _MAX_KEYS)
        # S3 may return fewer keys than requested; IsTruncated then marks that more follow.
        limit = min(max_keys, self._publication.keys_per_page)
        contents: list[str] = []
        truncated = False
        for symbol, day in self._files(prefix, marker):
            if len(contents) == limit:
                truncated = limit > 0
                break
            content = await self._content(symbol, day)
            if content:
                contents.append(content)
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns={quoteattr(_NAMESPACE)}>'
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><Marker>{escape(marker)}</Marker>"
            f"<MaxKeys>{max_keys}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>"
            f"{''.join(contents)}</ListBucketResult>"
        )
        return web.Response(content_type="application/xml", text=text)

    def _files(self, prefix: str, marker: str) -> Iterator[tuple[str, dt.date]]:
        """The files whose key begins with `prefix` and comes after `marker`, in the order of their keys."""
        whole = parse_file_name(prefix.rpartition("/")[2])
        if whole:  # a whole key is no other key's prefix, so no folder is searched
            if prefix == archive_key(*whole) and prefix > marker:
                yield whole
            return
        for symbol in sorted(self._publication.symbols(), key=archive_folder):
            folder = archive_folder(symbol)
            if folder.startswith(prefix) or prefix.startswith(folder):
                for day in self._publication.days(symbol):
                    key = archive_key(symbol, day)
                    if key.startswith(prefix) and key > marker:
                        yield symbol, day

    async def _content(self, symbol: str, day: dt.date) -> str | None:
        path = await self._publication.path(symbol, day)
        if path is None:
            return None
        try:
            async with self._opener.open(path) as file:
                modified = dt.datetime.fromtimestamp(int(file.modified), dt.UTC)
                return (
                    f"<Contents><Key>{archive_key(symbol, day)}</Key>"
                    f"<LastModified>{modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
                    f"<ETag>&quot;{file.md5}&quot;</ETag><Size>{file.size}</Size>"
                    "<StorageClass>STANDARD</StorageClass></Contents>"
                )
        except (FileNotFoundError, PermissionError):
            return None  # the file was removed since it was found, or cannot be read


def _error(status: HTTPStatus, code: str, message: str) -> web.Response:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return web.Response(status=status, content_type="application/xml", text=text)
