"""The Cloud Function `fetch_archive`: copies one day's file of Bybit's archive, unchanged, into the lake, once.

`POST {"symbol": "BTCUSDT", "date": "2020-03-25"}` is answered by 200 with a `FetchStatus` and, if the lake has the raw
file, with its object, bytes, sha256, etag and generation, and with the reason if it is corrupt. 400: the request is
wrong. 429 with `exchange_ban_s` in the body: the exchange bans this address for so many seconds (a 429 without it comes
from Cloud Run). 503: the same request may succeed later. 502: the exchange sent an unexpected response, which another
try would not change.
"""
