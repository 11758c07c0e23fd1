"""Dataproc Serverless' batch API on one machine: real gRPC in front, the real spark-submit behind.

Started by a stack as `python -m local.dataproc`; imported by nobody but its tests.
"""
