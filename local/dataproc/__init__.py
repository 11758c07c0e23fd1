"""Dataproc Serverless' batch API on one machine: it is served over gRPC and runs batches with the real spark-submit.

A stack starts it as `python -m local.dataproc`; only its tests import it.
"""
