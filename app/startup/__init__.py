"""Opens the parts of a server, one subject per module; ``app.runtime`` puts them together."""
