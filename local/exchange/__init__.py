"""The exchange simulator: Bybit's public archive over HTTP, with its manners and, on request, its faults.

Part of `local`; started as `python -m local.exchange`, imported by tests. `server` puts it together, `archive` and
`bucket` are the two public hosts, `folder` and `invented` say what is published, `market` invents trades.
"""
