"""The candles job of the archive plane: raw files become sorted Parquet trades in the lake and candles in BigQuery.

`main.py` beside this package is the batch that Dataproc runs. Workers import `task`, the driver imports `publication`;
all other modules turn bytes into columns without I/O.

Importing pandas costs every new worker a second, and nothing here needs it. `pa.array`, `np.asarray(array)` and
`Array.to_numpy` import it; therefore `arrays` builds Arrow arrays from buffers and reads them from buffers.
"""
