"""Number plate recognition: detecting, straightening and reading plates in images."""
