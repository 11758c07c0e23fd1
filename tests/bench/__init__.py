"""Benchmarks: not run by `make test`, each printing in one run all the figures that are compared."""
