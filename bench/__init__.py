"""What is measured, and against what. ``make bench``, or one part: ``ARGS=live``."""
