"""Tests that drive the dashboard in a real Chromium; `make test-browser` runs them."""
