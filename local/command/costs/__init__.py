"""What an environment of `terraform/environments` costs a month by Google's list prices.

Imported by `local.command`.
"""
