"""Helpers of the tests: servers, readers, images."""
