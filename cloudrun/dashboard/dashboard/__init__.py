"""The dashboard: the page, its API and its caches. `main.py` beside this package starts it."""
