"""Number plates as a service: photos and plates that pass cameras, to rows and files."""
