"""Bybit's own formats: archive files, websocket frames, REST envelopes and the session of one connection; no I/O.

Part of the core; a second exchange would be a package beside this one. Imports the ground only.
"""
