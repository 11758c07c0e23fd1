"""One stack of processes on this machine: its services, their start, their supervision and their end."""
