"""The dashboard: a page with live candles, recent trades, history, and how far each can be trusted.

An entry point; no module imports it.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from bitcoin_pipeline.adapters.stdout import log
from bitcoin_pipeline.settings import SettingsError, read_settings
from dashboard.server import serve
from dashboard.settings import Settings


def main() -> NoReturn:
    """Read the settings and serve. Exit code 2: a setting is wrong; 1: a fault of the program; 0: a requested stop."""
    try:
        settings = read_settings(Settings, os.environ)
    except SettingsError as error:
        log("CRITICAL", "settings are wrong", reason=str(error))
        sys.exit(2)
    is_well = serve(settings)
    # At once: a thread in which a query hangs would keep the process alive, and there is nothing left to do.
    os._exit(int(not is_well))


if __name__ == "__main__":
    main()
