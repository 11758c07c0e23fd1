"""The candles job of the live path: its SQL, and the program that keeps it running on a Flink cluster."""
