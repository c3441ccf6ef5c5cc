"""``uvicorn main:app``."""

from app import app as app
