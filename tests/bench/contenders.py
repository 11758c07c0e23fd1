"""Programs that turn archive files into sorted zstd Parquet and 1-minute candles: ours, and hand-written peers.

`python -m tests.bench.contenders NAME OUT FILE...` loads its libraries (and starts Spark) and prints `ready`; after a
line of input it works and prints `done`; after another line it ends. `tests.bench.historical` measures it from outside.
All write OUT/<day>.trades.parquet and OUT/candles.parquet or similar names. The peers validate nothing: no trade id, no
order, no symbol, no day.
"""

# ruff: noqa: PLC0415  # each contender pays for its own libraries only
from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

CORES: Final = 2
COLUMNS: Final = ("timestamp", "symbol", "side", "size", "price", "trdMatchID")
SYMBOL: Final = "BTCUSDT"

Work = Callable[[], None]


def day_of_file(file: Path) -> dt.date:
    """The day in a name such as BTCUSDT2025-10-01.csv.gz."""
    return dt.date.fromisoformat(file.name.removeprefix(SYMBOL)[:10])


def one_by_one(day: Callable[[Path, Path], None], out: Path, files: list[Path]) -> Work:
    """Processes one file after the other, each with all cores, as such scripts usually do."""

    def work() -> None:
        for file in files:
            day(out, file)

    return work


# Ours: the work of the candles job's workers, on local files.


def ours(out: Path, files: list[Path]) -> Work:
    """The candles job's Spark tasks."""
    spark = spark_session()
    # The start of Python workers and of their libraries is part of the session's start, as that of its JVM.
    spark.sparkContext.parallelize(range(2 * CORES), 2 * CORES).foreach(load_libraries)

    def work() -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tasks = spark.sparkContext.parallelize([str(file) for file in files], len(files))
        pq.write_table(pa.concat_tables(tasks.map(partial(our_day, str(out))).collect()), out / "candles.parquet")

    return work


def load_libraries(_: int) -> None:
    """Imports the modules of the job's tasks."""
    import candles_batch.candles
    import candles_batch.parquet
    import candles_batch.reading  # noqa: F401
    from candles_batch.inflating import fastest_codec

    fastest_codec()


def our_day(out: str, file: str) -> Any:
    """The work of the job's `load_day` on one file; returns its candles."""
    from candles_batch.candles import minute_candles
    from candles_batch.inflating import fastest_codec
    from candles_batch.parquet import trades_parquet
    from candles_batch.reading import read_day

    day_name = day_of_file(Path(file))
    with Path(file).open("rb") as stream:
        day = read_day(iter(partial(stream.read, 1 << 20), b""), SYMBOL, day_name, fastest_codec())
    (Path(out) / f"{day_name}.trades.parquet").write_bytes(trades_parquet(day))
    return minute_candles(day)


# The floor: the steps that every program needs which reads this format and writes Parquet.


def floor(out: Path, files: list[Path]) -> Work:
    """Gunzip by the inflater of ours, typed parsing, and the Parquet file of one day that was read before the clock."""
    from isal import igzip

    from candles_batch.parquet import trades_parquet
    from candles_batch.reading import read_day

    with files[0].open("rb") as stream:
        day = read_day(iter(partial(stream.read, 1 << 20), b""), SYMBOL, day_of_file(files[0]))

    def work() -> None:
        import pyarrow as pa
        import pyarrow.csv

        number = pa.decimal128(38, 9)
        types = (pa.decimal128(18, 6), pa.string(), pa.string(), number, number, pa.string())
        for file in files:
            reader = pyarrow.csv.open_csv(
                igzip.open(file),  # type: ignore[no-untyped-call]  # has no types
                pyarrow.csv.ReadOptions(use_threads=False, block_size=4 << 20),
                convert_options=pyarrow.csv.ConvertOptions(
                    include_columns=COLUMNS, column_types=dict(zip(COLUMNS, types, strict=True)), check_utf8=False
                ),
            )
            for _ in reader:
                pass
            (out / f"{day_of_file(file)}.trades.parquet").write_bytes(trades_parquet(day))

    return work


# The peers.


def polars(out: Path, files: list[Path]) -> Work:
    """A hand-written Polars script."""
    import polars as _  # noqa: F401  # loaded before the clock starts

    return one_by_one(polars_day, out, files)


def polars_day(out: Path, file: Path) -> None:
    """One file by Polars."""
    import polars as pl

    number = pl.Decimal(38, 9)
    trades = (
        pl.read_csv(
            file,
            columns=list(COLUMNS),
            schema_overrides={"timestamp": pl.Float64, "size": number, "price": number},
        )
        .with_columns(
            (pl.col("timestamp") * 1_000_000).round().cast(pl.Int64).cast(pl.Datetime("us", "UTC")).alias("time")
        )
        .sort("time", maintain_order=True)
    )
    trades.select("time", "price", "size", "side", "trdMatchID").write_parquet(
        out / f"{day_of_file(file)}.trades.parquet", compression="zstd", compression_level=1, row_group_size=1 << 17
    )
    bought = pl.col("side") == "Buy"
    turnover = pl.col("price") * pl.col("size")
    trades.group_by(pl.col("time").dt.truncate("1m").alias("open_time"), maintain_order=True).agg(
        pl.col("price").first().alias("open"),
        pl.col("price").max().alias("high"),
        pl.col("price").min().alias("low"),
        pl.col("price").last().alias("close"),
        pl.col("size").sum().alias("volume"),
        turnover.sum().alias("turnover"),
        pl.len().alias("trade_count"),
        pl.col("size").filter(bought).sum().alias("buy_volume"),
        turnover.filter(bought).sum().alias("buy_turnover"),
    ).write_parquet(out / f"{day_of_file(file)}.candles.parquet")


def duckdb(out: Path, files: list[Path]) -> Work:
    """A hand-written DuckDB script."""
    import duckdb as _  # noqa: F401  # loaded before the clock starts

    return one_by_one(duckdb_day, out, files)


def duckdb_day(out: Path, file: Path) -> None:
    """One file by DuckDB."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(
        f"""
        CREATE TABLE trades AS
        SELECT make_timestamp(round(timestamp * 1000000)::BIGINT) AS time, price, size, side, trdMatchID AS id
        FROM read_csv('{file}', header = true, auto_detect = false, delim = ',', columns = {{
          'timestamp': 'DOUBLE', 'symbol': 'VARCHAR', 'side': 'VARCHAR', 'size': 'DECIMAL(18, 9)',
          'price': 'DECIMAL(18, 9)', 'tickDirection': 'VARCHAR', 'trdMatchID': 'UUID', 'grossValue': 'VARCHAR',
          'homeNotional': 'VARCHAR', 'foreignNotional': 'VARCHAR', 'RPI': 'VARCHAR'}});
        COPY (SELECT * FROM trades ORDER BY time, rowid)
        TO '{out / str(day_of_file(file))}.trades.parquet' (COMPRESSION zstd, COMPRESSION_LEVEL 1,
          ROW_GROUP_SIZE 131072);
        COPY (
          SELECT date_trunc('minute', time) AS open_time, arg_min(price, (time, rowid)) AS open, max(price) AS high,
            min(price) AS low, arg_max(price, (time, rowid)) AS close, sum(size) AS volume,
            sum(price * size) AS turnover, count(*) AS trade_count,
            coalesce(sum(size) FILTER (side = 'Buy'), 0) AS buy_volume,
            coalesce(sum(price * size) FILTER (side = 'Buy'), 0) AS buy_turnover
          FROM trades GROUP BY 1 ORDER BY 1
        ) TO '{out / str(day_of_file(file))}.candles.parquet';
        """
    )


def spark(out: Path, files: list[Path]) -> Work:
    """The job as Spark DataFrames: CSV with a schema, grouped by minute windows, with first and last in file order."""
    session = spark_session()
    session.range(2 * CORES).count()
    schema = (
        "timestamp DECIMAL(18, 6), symbol STRING, side STRING, size DECIMAL(18, 9), price DECIMAL(18, 9), "
        "tickDirection STRING, trdMatchID STRING, grossValue DOUBLE, homeNotional DOUBLE, "
        "foreignNotional DOUBLE, RPI INT"
    )

    def work() -> None:
        from pyspark.sql import functions as F  # noqa: N812  # the customary name

        trades = (
            session.read.csv([str(file) for file in files], schema=schema, header=True)
            .select(F.col("timestamp").cast("timestamp").alias("time"), "symbol", "side", "size", "price", "trdMatchID")
            .withColumn("date", F.to_date("time"))
        )
        trades.sortWithinPartitions("time").write.partitionBy("date").parquet(
            str(out / "trades"), mode="overwrite", compression="zstd"
        )
        bought = F.col("side") == "Buy"
        turnover = F.col("price") * F.col("size")
        trades.groupBy("symbol", F.window("time", "1 minute").alias("minute")).agg(
            F.first("price").alias("open"),
            F.max("price").alias("high"),
            F.min("price").alias("low"),
            F.last("price").alias("close"),
            F.sum("size").alias("volume"),
            F.sum(turnover).alias("turnover"),
            F.count("*").alias("trade_count"),
            F.sum(F.when(bought, F.col("size")).otherwise(0)).alias("buy_volume"),
            F.sum(F.when(bought, turnover).otherwise(0)).alias("buy_turnover"),
        ).withColumn("open_time", F.col("minute.start")).drop("minute").write.parquet(
            str(out / "candles"), mode="overwrite", compression="zstd"
        )

    return work


def spark_session() -> Any:
    """A session on all cores, with memory for the data."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master(f"local[{CORES}]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "4g").config("spark.sql.session.timeZone", "UTC")
    return builder.config("spark.log.level", "ERROR").getOrCreate()


CONTENDERS: Final = {work.__name__: work for work in (ours, floor, polars, duckdb, spark)}


def main() -> None:
    """Runs one contender."""
    name, out, *files = sys.argv[1:]
    work = CONTENDERS[name](Path(out), [Path(file) for file in files])
    for word in ("ready", "done"):
        print(word, flush=True)  # noqa: T201  # the other end of a pipe
        sys.stdin.readline()
        if word == "ready":
            work()


if __name__ == "__main__":
    main()
