"""The `pipeline` command, and the pipeline on one machine with stand-ins for what the cloud provides.

Imports the core and its adapters; starts every deployable as a process of its own and imports none of them.
"""
