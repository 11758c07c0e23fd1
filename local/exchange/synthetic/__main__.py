"""Writes one archive file of the synthetic market: `python -m local.exchange.synthetic SYMBOL DAY --out FILE`.

For benchmarks and for manual use; no module imports it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bitcoin_pipeline.times import parse_day
from local.exchange.synthetic.day import synthetic_day
from local.exchange.synthetic.eras import ERAS, era_named
from local.exchange.synthetic.files import write_day
from local.exchange.synthetic.profiles import PROFILES


def main() -> None:
    """Write the file that the command line describes; a wrong value ends the process with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m local.exchange.synthetic", description="Writes one archive file of the synthetic market."
    )
    parser.add_argument("symbol", help=", ".join(PROFILES))
    parser.add_argument("day", help="YYYY-MM-DD")
    parser.add_argument("--trades", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--era", help=f"{', '.join(era.name for era in ERAS)}; default: that of the day")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .csv.gz")
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument("--descending", action="store_true", default=None, help="newest first")
    direction.add_argument("--ascending", dest="descending", action="store_false", help="oldest first")
    given = parser.parse_args()
    try:
        era = era_named(given.era) if given.era else None
        trades = synthetic_day(given.symbol, parse_day(given.day), given.trades, seed=given.seed, era=era)
        write_day(given.out, trades, descending=given.descending)
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
