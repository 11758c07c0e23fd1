"""The exchange simulator: Bybit's public archive and its live market, with their manners and, on request, faults.

Part of `local`; started as `python -m local.exchange`, imported by tests. `server` puts it together. The archive:
`archive` and `bucket` are the two public hosts, `folder` and `invented` say what is published, `market` invents
trades. The live market: `sources` says what is played, `playback` when, `tape` keeps what was, `stream` and `rest`
tell it, `live_faults` says how that can fail.
"""
