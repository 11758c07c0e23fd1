"""The folder of the checkout that this package belongs to.

Imported by the rest of `local` and by tests, but not by the set-up, which imports nothing but itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

IS_CHECKOUT: Final = (ROOT / "local" / "stack").is_dir()
"""False where the data commands of `pipeline` are installed alone; ROOT is then a folder of packages."""
