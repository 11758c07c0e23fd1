"""Where the checkout lies that this package belongs to.

Imported by the rest of `local` and by tests, but not by the set-up, which imports nothing but itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
