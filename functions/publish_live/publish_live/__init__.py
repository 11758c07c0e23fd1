"""The Cloud Function `publish_live`: copies the live candles that have changed from Postgres into `market.candles`.

`POST` without a body, every two minutes. 200 with figures: `sent`, the number of rows; `until`, the time at which the
last of them was written in Postgres; `more`, when the rest is left to the next call; `busy`, when another call is
running; `pruned`, the number of old candles that Postgres no longer holds. 503: Postgres or BigQuery is unreachable, or
conflicts with other transactions last; a later call may succeed.

The function keeps no state. A row in BigQuery has Postgres' `updated_at`, so the newest one marks where the last call
stopped, and a row is replaced only by a newer one. Any call may be killed at any point and repeated; a merge that
BigQuery still runs for a killed call excludes other merges, and changes no row that a later call has published.
"""
