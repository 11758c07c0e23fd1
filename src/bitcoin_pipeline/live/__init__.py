"""The live plane without I/O: the records of the topic, and the feed that decides which are sent and when.

Part of the core. Imports the base modules and `bybit`.
"""
