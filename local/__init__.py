"""The pipeline on one machine: stand-ins for what the cloud provides, and the `pipeline` command.

Imports the core; starts every deployable as a process of its own and imports none of them.
"""
