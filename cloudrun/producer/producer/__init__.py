"""The producer: takes the websocket into the topic. `main.py` beside this package starts it."""
