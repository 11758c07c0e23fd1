"""The stack in containers, with a real Docker engine: `make test-containers`."""
