"""What the tests need and is no test: servers, readers, pictures."""
