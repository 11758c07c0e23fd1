"""From an empty project of Google Cloud to the dashboard's address: `make bootstrap`, `make publish`, `make deploy`.

`python -m local.deploy` carries them out. Each shows what it will do and what that costs a month, and asks once.
"""
