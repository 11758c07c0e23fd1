"""The fixtures of the end-to-end tests' stack, which runs in containers here."""

from tests.e2e.conftest import backing, played

__all__ = ["backing", "played"]
