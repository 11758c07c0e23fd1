"""Flink on one machine: its cluster of two processes, and the keeper of the candles job."""
