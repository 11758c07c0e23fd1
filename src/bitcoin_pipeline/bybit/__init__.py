"""Bybit's own formats: archive files, websocket frames, REST envelopes and the session of one connection; no I/O.

Part of the core; imports its base modules only.
"""
