"""The exchange simulator: Bybit's public archive and its live market, with rate limits and, on request, faults."""
