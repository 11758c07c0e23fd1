"""Whole paths through real components, driven by the command alone."""
