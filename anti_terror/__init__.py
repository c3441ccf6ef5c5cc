"""The old name of the Python API."""
