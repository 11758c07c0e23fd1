"""The `pipeline` command: `data` works on a stack's data or on Google Cloud's, `stack` brings a stack up and down.

Only `stack` imports the packages of the stack, when one of its commands runs: the rest may be installed alone.
"""
