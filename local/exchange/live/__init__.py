"""The live side of the simulator: one playback of a market, its websocket, its REST calls and its faults."""
