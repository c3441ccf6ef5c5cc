"""How `app/models/weights/` was made: prepare, train, evaluate, export (see README.md)."""
