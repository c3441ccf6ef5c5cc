"""Join YOLOv8n and the trained branch in OpenVINO, the branch in INT8.

    python -m training.export WORK $WATCHPOST_DATA/weights/yolov8n.pt BRANCH.pt OUT

The input is (B, 3, H, W) RGB in 0..1 with any batch and any height and width that are multiples
of 32; the output (B, 4 + classes, anchors): centre, extent in input pixels, then class
confidences. What a reader needs stands in the file's rt_info under `model_info`: `names`,
`thresholds` and `nms_iou` (one a class), `size` and `close_size` (longer side in pixels, first
and second look).

The branch computes in INT8, ranges found on pictures of the training split only; YOLOv8n, whose
bags suffer from that, in floating point. All weights are stored in eight bits, a scale a channel.
With `--plain` a second file is written that computes in floating point all through, and both are
timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from training.boxes import CLASSES
from training.join import Joined
from training.network import letterbox, nms_iou, trace
from training.pictures import read_image

CALIBRATION_PICTURES = 100
CALIBRATION_SIZE = 576
TIMED_RUNS = 20
MAX_MEGABYTES = 8.0
SIZE, CLOSE_SIZE, THRESHOLD = 640, 384, 0.3
"""What the scores were measured with, and what a reader should take."""


def save(model: ov.Model, path: Path, precision: str) -> None:
    """Write `path` (.xml and .bin) with what a reader needs to know inside."""
    known = {
        "names": repr(dict(enumerate(CLASSES))),
        "labels": " ".join(CLASSES),
        "thresholds": " ".join([str(THRESHOLD)] * len(CLASSES)),
        "nms_iou": " ".join(str(nms_iou(i)) for i in range(len(CLASSES))),
        "size": str(SIZE),
        "close_size": str(CLOSE_SIZE),
        "precision": precision,
        "license": "AGPL-3.0",
    }
    for key, value in known.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=True)
    for part in (path, path.with_suffix(".bin")):
        megabytes = part.stat().st_size / 1e6
        print(f"{part.name}: {megabytes:.2f} MB")
        if megabytes > MAX_MEGABYTES:
            raise SystemExit(f"{part.name} is larger than {MAX_MEGABYTES} MB")


def quantize(model: ov.Model, work: Path) -> ov.Model:
    """The branch in INT8 through NNCF; the box decoding after the last convolutions is not.

    The whole network so lost more: any bag 0.337 to 0.309, handbags 0.345 to 0.321.
    """
    import nncf

    listed = sorted(set((work / "train.txt").read_text(encoding="utf-8").split()))
    chosen = np.random.default_rng(0).choice(listed, min(CALIBRATION_PICTURES, len(listed)), False)

    def square(file: str) -> NDArray[np.float32]:
        blob, _ = letterbox(read_image(work / file), CALIBRATION_SIZE)
        margin = [(0, CALIBRATION_SIZE - length) for length in blob.shape[2:]]
        return np.pad(blob, [(0, 0), (0, 0), *margin], constant_values=114 / 255)

    decoding = r"__module\.(coco|branch)\.model\.22(/|\.dfl).*"
    joining = r"aten::.*"
    coco = r"__module\.coco\.(?!.*silu).*"  # tracing names all activations after one of its layers
    model.reshape([1, 3, CALIBRATION_SIZE, CALIBRATION_SIZE])  # a fixed shape is much faster
    quantized: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(list(chosen), square),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(chosen),
        ignored_scope=nncf.IgnoredScope(patterns=[decoding, coco, joining]),
    )
    quantized.reshape([-1, 3, -1, -1])
    return quantized


def milliseconds(path: Path, shape: tuple[int, int, int, int]) -> float:
    """Median CPU time of one inference of a fixed shape (B, 3, H, W) on one thread.

    Not the clock's: that depends on what else the machine does.
    """
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    config = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    network = core.compile_model(model, "CPU", config)
    blob = np.random.default_rng(0).random(shape, np.float32)
    network(blob)
    times = []
    for _ in range(TIMED_RUNS):
        started = time.process_time()
        network(blob)
        times.append(1000 * (time.process_time() - started))
    return statistics.median(times)


def export(work: Path, coco: Path, branch: Path, out: Path, with_plain: bool) -> None:
    """Write OUT/watchpost.xml, if wanted also watchpost_plain.xml, and print sizes and times."""
    out.mkdir(parents=True, exist_ok=True)
    joined = Joined(coco, branch).eval()
    shipped, plain = out / "watchpost.xml", out / "watchpost_plain.xml"
    save(compress(quantize(trace(joined, joined.names), work)), shipped, "INT8 in part")
    if with_plain:
        save(compress(trace(joined, joined.names)), plain, "int8 weights")
        print_times(plain, shipped)


def compress(model: ov.Model) -> ov.Model:
    """Store the weights that are not yet in eight bits so, with a scale for each output channel.

    `app.models.openvino_runtime` unpacks them.
    """
    import nncf

    compressed: ov.Model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return compressed


def print_times(plain: Path, shipped: Path) -> None:
    """A markdown table of CPU times."""
    print("| input | floating point, ms | INT8 in part, ms | ratio |\n|---|---:|---:|---:|")
    for shape in ((1, 3, 384, 640), (1, 3, 640, 640), (4, 3, 384, 384)):
        slow, fast = (milliseconds(path, shape) for path in (plain, shipped))
        text = "×".join(map(str, shape))
        print(f"| {text} | {slow:.1f} | {fast:.1f} | {slow / fast:.2f} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder that training.prepare filled")
    parser.add_argument("coco", type=Path, help="yolov8n.pt")
    parser.add_argument("branch", type=Path, help="the trained branch (.pt)")
    parser.add_argument("out", type=Path, help="folder for the .xml and .bin files")
    parser.add_argument("--plain", action="store_true", help="also one without INT8, to compare")
    args = parser.parse_args()
    export(args.work, args.coco, args.branch, args.out, args.plain)


if __name__ == "__main__":
    main()
