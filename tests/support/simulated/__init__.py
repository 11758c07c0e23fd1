"""A simulated exchange, topic and workers in virtual time, around the real live feed, and a judge of what it sends.

For tests only; no I/O and no clock. Times are milliseconds of the exchange's clock.
"""
