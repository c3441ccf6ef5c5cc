"""Video in, results out. Read ``stream.py`` first."""
