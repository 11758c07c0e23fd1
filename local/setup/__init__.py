"""The set-up that `make` runs before any package is installed: the environments, their locks, and the machine's check.

It runs on any Python from 3.9 on with the standard library only. It imports no other part of this project, and only
tests import it.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036  # this file must parse on any Python 3; the other modules need not
    sys.exit("error: Python 3.9 or newer starts the set-up; name one: make setup PYTHON=/path/to/python3")
