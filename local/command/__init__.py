"""The `pipeline` command, one file per group of commands."""
