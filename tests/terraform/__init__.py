"""Tests of terraform/."""
