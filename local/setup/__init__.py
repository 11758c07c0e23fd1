"""What `make` calls before anything is installed: the environments, their locks, and a look at the machine.

Runs on any Python from 3.9 on with the standard library alone, so it imports nothing else of this project, and nothing
else imports it (tests aside).
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036  # read by any Python; the other modules are not
    sys.exit("error: Python 3.9 or newer starts the set-up; name one: make setup PYTHON=/path/to/python3")
