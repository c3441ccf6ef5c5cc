"""Checks of H.264 encoders and decoders."""

from __future__ import annotations

from collections.abc import Iterator

from app.doctor.findings import Finding, ok, problem
from app.errors import SinkError
from app.pipeline.sinks.encode import H264Encoder, best_encoder
from app.pipeline.sources.hardware import available_decoders
from app.stream_options import SOFTWARE_ENCODER

SIZE = 640, 384


def codecs() -> Iterator[Finding]:
    """Check what encodes and decodes video here."""
    name = best_encoder()
    try:
        H264Encoder(*SIZE, fps=15, encoder=name)
    except SinkError as error:
        yield problem("encoder", f"{name}: {error}", "reinstall the package av")
        return
    if name == SOFTWARE_ENCODER:
        yield ok("encoder", f"{name}, on the CPU; no hardware encoder works here")
    else:
        yield ok("encoder", f"{name}, in hardware")
    decoders = available_decoders()
    yield ok("decoder", f"{', '.join(decoders)}, in hardware" if decoders else "on the CPU")
