"""The producer: carries the trades of the websocket into the topic. `main.py` beside this package starts it."""
