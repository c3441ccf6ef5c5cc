"""What a stream goes without because the machine cannot do everything, in words."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.api.i18n import Language, reply
from app.types import Rate, Reduced


class ReducedReply(BaseModel):
    """What a stream goes without because the machine cannot do everything now."""

    message: str = Field(
        description="The same in words.",
        examples=["This machine looks for objects 2 instead of 5 times a second."],
    )
    object_fps: float | None = Field(
        description="Frames a second on which objects are detected; null: as many as configured."
    )
    crops: bool = Field(description="Whether people are examined enlarged where a rule needs it.")
    face_gap_ms: int = Field(
        description="For how long covered faces may be predicted before they are detected again."
    )
    fps: float | None = Field(
        description="Frames a second that are processed; null: all that the source sends."
    )

    @classmethod
    def of(cls, reduced: Reduced | None, language: Language) -> ReducedReply | None:
        """The reply; None if nothing is given up."""
        if reduced is None:
            return None
        return cls(
            message=" ".join(sentences(reduced, language)),
            object_fps=None if reduced.objects is None else round(reduced.objects.now, 1),
            crops=not reduced.no_crops,
            face_gap_ms=round(reduced.face_gap_s * 1000),
            fps=None if reduced.frames is None else round(reduced.frames.now, 1),
        )


def sentences(reduced: Reduced, language: Language) -> list[str]:
    """What is given up, a sentence each. The first names the machine."""
    if reduced.objects is None:
        texts = [reply("REDUCED_MACHINE", language)]
    else:
        texts = [reply("REDUCED_OBJECTS", language).format(**_numbers(reduced.objects))]
    if reduced.no_crops:
        texts.append(reply("REDUCED_CROPS", language))
    if reduced.face_gap_s:
        milliseconds = round(reduced.face_gap_s * 1000)
        texts.append(reply("REDUCED_FACES", language).format(ms=milliseconds))
    if reduced.frames is not None:
        texts.append(reply("REDUCED_FRAMES", language).format(**_numbers(reduced.frames)))
    return texts


def _numbers(rate: Rate) -> dict[str, str]:
    """Both rates as text, with a decimal only below 3."""
    return {name: f"{round(n, 1):g}" if n < 3 else f"{n:.0f}" for name, n in rate._asdict().items()}
