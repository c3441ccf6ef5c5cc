"""Video in, processed frames and events out. Read ``stream.py`` first."""
