"""The scripts that made `app/models/weights/`: prepare, train, evaluate, export; see README.md."""
