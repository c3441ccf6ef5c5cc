"""Plates from uploads and streams to rows and files."""
