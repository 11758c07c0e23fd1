"""The backing services of a stack, one file each: what the cloud provides as a managed service."""
