"""Number plates of an image: found, straightened, read."""
