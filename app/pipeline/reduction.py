"""What a stream goes without because the machine cannot do everything."""

from __future__ import annotations

from typing import Any

from app.budget import StreamBudget
from app.pipeline.intake import FrameIntake
from app.pipeline.object_analysis import ObjectAnalysis
from app.types import Reduced, StreamSpec


def reduction(
    spec: StreamSpec,
    budget: StreamBudget | None,
    analysis: ObjectAnalysis,
    intake: FrameIntake[Any],
) -> Reduced | None:
    """What a stream goes without now; None for nothing, as for a file, which waits."""
    if budget is None:
        return None
    face_gap_s = budget.level.face_gap_s if spec.blur != "off" else 0.0
    reduced = Reduced(analysis.slower, analysis.lacks_crops, face_gap_s, intake.slower)
    return reduced if reduced != Reduced() else None
