"""The fastest module at hand that inflates gzip: isal, which needs less than half of zlib's CPU time, or zlib.

Part of the candles job; its modules and tests import it.
"""

from __future__ import annotations

import functools
import importlib
import sys
import tempfile
import zipfile
import zlib
from typing import Final, cast

from bitcoin_pipeline.bybit.archive import Codec

ARCHIVE: Final = "isal.zip"
"""The file of the batch that holds the package isal, for the Python of Dataproc's runtime."""

_MODULE: Final = "isal.isal_zlib"


@functools.cache
def fastest_codec() -> Codec:
    """Isal from the batch's file ARCHIVE, or as it is installed; zlib where neither can be imported."""
    archive = next((path for path in sys.path if path.rpartition("/")[2] == ARCHIVE), None)
    try:
        return cast("Codec", _unpacked(archive) if archive else importlib.import_module(_MODULE))
    except (ImportError, OSError, zipfile.BadZipFile):
        return zlib


def _unpacked(archive: str) -> object:
    """The module from a zip, from which Python imports no extension modules; loaded, it needs no file any more."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        sys.path.insert(0, folder)
        try:
            return importlib.import_module(_MODULE)
        finally:
            sys.path.remove(folder)
