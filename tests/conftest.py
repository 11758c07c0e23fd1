"""Settings of the whole test suite; pytest imports it."""

from hypothesis import settings

# The same examples on every run, and no deadline per example: a busy machine is no fault of the code.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")
