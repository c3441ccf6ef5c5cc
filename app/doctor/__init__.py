"""``watchpost doctor``: what this machine has, what it lacks, and how many cameras it can process.

``findings`` checks what the server needs, ``measure`` times the parts of a frame's path in a child
process, ``capacity`` turns these times into cameras, and ``report`` puts all of it together.
"""
