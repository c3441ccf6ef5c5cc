"""When smoking is seen in the clips, and where it is seen though nobody smokes.

Each clip goes through a stream's analysis as a live stream would: the same looks a second, the
same networks, only as fast as the machine can.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import av
from tqdm import tqdm

from app.config import FaceSettings, ObjectSettings, SmokingSettings
from app.models.faces import FaceDetector, load_faces
from app.models.objects import load_objects
from app.pipeline.analysis import Analyst
from app.pipeline.rules import Seen
from app.pipeline.scale import part_to_rgb, to_rgb
from app.pipeline.tracker import Tracker
from app.types import StreamSpec, Track

SUFFIXES = (".mp4", ".avi", ".gif")


def run() -> None:
    data = os.environ.get("WATCHPOST_DATA")
    if not data:
        print("smoking: set WATCHPOST_DATA to the folder that has the clips in videos/.")
        return
    clips = sorted(p for p in (Path(data) / "videos").iterdir() if p.suffix in SUFFIXES)
    settings = ObjectSettings(weights=os.environ.get("WATCHPOST_OBJECTS__WEIGHTS"))
    objects = load_objects(settings)
    analyst = Analyst(settings, {"smoking": SmokingSettings()}, objects)
    network = load_faces()
    for clip in clips:
        watch(clip, analyst, FaceDetector(network, min_confidence=FaceSettings().keep_confidence))
    objects.close()
    network.close()


def watch(clip: Path, analyst: Analyst, faces: FaceDetector) -> None:
    """Print what one clip's analysis finds, with the time in the clip."""
    settings = FaceSettings()
    tracker = Tracker(start_confidence=settings.min_confidence, hold_s=settings.hold_s)
    analysis = analyst.analysis(StreamSpec("clip", "file:", analytics={"smoking": {}}))
    assert analysis is not None
    seen_cigarettes = 0
    with av.open(str(clip)) as container:
        for image in tqdm(container.decode(video=0), clip.name, leave=False, disable=None):
            now, size = image.time or 0.0, (image.width, image.height)
            look = analysis.ask(now, functools.partial(to_rgb, image))
            if look is None:
                continue
            found = faces.look(to_rgb(image, settings.width)).detections(60, size)
            tracks: tuple[Track, ...] = tracker.update(found, now)
            cut, see = functools.partial(part_to_rgb, image), functools.partial(to_rgb, image)
            things, findings = analysis.understand(look, tracks, Seen(size, cut, see, now), size)
            seen_cigarettes += any(t.label == "cigarette" and t.age_s == 0 for t in things)
            for finding in findings:
                print(f"{clip.name} {now:7.2f} s {finding.type} {finding.confidence}", flush=True)
    for finding in analysis.end():
        print(f"{clip.name}     end   {finding.type} {finding.confidence} {finding.duration_s}")
    print(f"{clip.name}: a cigarette is tracked in {seen_cigarettes} looks", flush=True)
