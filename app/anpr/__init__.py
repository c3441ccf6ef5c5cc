"""Number plates as a service: reads photos and passing vehicles, and stores rows and files."""
