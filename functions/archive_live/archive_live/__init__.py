"""The Cloud Function `archive_live`: writes the trades of the topic to `trades_live/` of the lake, as Parquet.

`POST` without a body, hourly. 200 with figures: `trades`, `objects`, `duplicates` dropped, `unreadable` records left
out, and `more` when the rest is left to the next call. 503: the broker or the lake is unreachable; a later call may
succeed.

A partition is cut at every period of the broker's clock (an hour by default), and each period into pieces of a fixed
number of offsets. These cuts never change, and an object is named after its piece: every call that writes a piece (the
first one, one that repeats it after a kill, one at the same time) writes the same objects. A period is written once the
topic holds a record of the next period, which heartbeats ensure.

A call starts at the consumer group's committed offset, which is committed after the objects of a piece. The names in
the lake cannot replace it, because a piece without trades has no object.

A trade that was sent twice is written once in a piece; two pieces may both hold it, under the same id.
"""
