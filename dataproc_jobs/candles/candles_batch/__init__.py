"""The candles job of the archive plane. `main.py` beside this package is what Dataproc runs."""
