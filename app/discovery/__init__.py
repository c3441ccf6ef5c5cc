"""Finds cameras on the network, and knows the addresses of their streams."""
