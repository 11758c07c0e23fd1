"""The archive side of the simulator: its two public hosts, and the files that they publish."""
