"""What the archive side and the live side of the simulator share: log, rate limit, error page and request faults."""
