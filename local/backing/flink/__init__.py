"""A Flink cluster on one machine."""
