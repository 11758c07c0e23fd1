"""The synthetic market: trades that follow from a symbol, a time and a seed, as archive files and as live trades."""
