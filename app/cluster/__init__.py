"""Streams on many machines, on a Ray cluster: placing, watching and restarting are Ray's.

    front (API, page, database) ── NodeActor on machine A: networks, StreamManager
                                └─ NodeActor on machine B: networks, StreamManager

The only package that imports Ray, and it is imported only with ``--cluster``. A stream is a
placement group of its own: Ray chooses its node, and another one when that node dies. So is each
URL that a job records: ``PartRun`` does it on the node, ``RemoteRecorder`` follows in the front.
"""
