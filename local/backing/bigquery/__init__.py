"""BigQuery of a stack: the emulator local-bigquery, in an environment of its own."""
