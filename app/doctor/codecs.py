"""Checks of H.264 encoders and decoders."""

from __future__ import annotations

from collections.abc import Iterator

from app.doctor.findings import Finding, Phrase, ok, problem, verbatim
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
        text = verbatim(f"{name}: {error}")
        yield problem("encoder", text, Phrase("reinstall the package av"))
        return
    if name == SOFTWARE_ENCODER:
        yield ok("encoder", Phrase("{name}, on the CPU; no hardware encoder works here", name=name))
    else:
        yield ok("encoder", Phrase("{name}, in hardware", name=name))
    if decoders := ", ".join(available_decoders()):
        yield ok("decoder", Phrase("{name}, in hardware", name=decoders))
    else:
        yield ok("decoder", Phrase("on the CPU"))
