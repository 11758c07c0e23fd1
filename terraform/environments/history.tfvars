# The archive plane alone: files, trades and candles of every day that Bybit has published, loaded by the daily job and by
# `pipeline backfill`. Nothing runs in between. For one symbol.
symbols = ["BTCUSDT"]
live    = null
