"""The core: what a trade and a candle are, Bybit's formats, names, schemas, settings.

Apart from its `adapters` it uses the standard library only and does no I/O, so that every deployable can carry it. It
imports nothing else of this project; any module may import it.
"""
