"""The core: what a trade and a candle are, Bybit's formats, names, schemas, settings.

Standard library only and no I/O, so that every deployable can carry it. Imports nothing of this project;
anybody may import it.
"""
