"""Join YOLOv8n and the trained branch in OpenVINO, with the branch in INT8.

    python -m training.export WORK $WATCHPOST_DATA/weights/yolov8n.pt BRANCH.pt OUT

The input is (B, 3, H, W) RGB in 0..1, with any batch size and any height and width that are
multiples of 32; the output is (B, 4 + classes, anchors): centre and size in input pixels, then
class confidences. The file's rt_info has what a reader needs under `model_info`: `names`,
`thresholds` and `nms_iou` (one per class), `size` and `close_size` (longer side in pixels, in the
first and the second pass).

Further outputs of the same form are those of each branch alone, `coco` and `small`; rt_info lists
their labels under `parts`. Who needs only one compiles the network to that output, and saves half.

Everything but the decoding of boxes computes in INT8, with ranges from images of the training split
only, and with biases that are corrected layer by layer. With `--plain` a second file is written
that computes in floating point throughout, and both are timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from training.boxes import CLASSES, COCO_CLASSES, NEW_CLASSES
from training.images import read_image
from training.join import Joined
from training.network import letterbox, nms_iou, trace

CALIBRATION_IMAGES = 100
CALIBRATION_SIZE = 576
TIMED_RUNS = 20
MAX_MEGABYTES = 8.0
SIZE, CLOSE_SIZE, THRESHOLD = 640, 384, 0.3
"""The values with which the scores were measured, and which a reader should use."""
PARTS = {"coco": COCO_CLASSES, "small": NEW_CLASSES}


def save(model: ov.Model, path: Path, precision: str) -> None:
    """Write `path` (.xml and .bin) with its metadata inside."""
    metadata = {
        "names": repr(dict(enumerate(CLASSES))),
        "labels": " ".join(CLASSES),
        "thresholds": " ".join([str(THRESHOLD)] * len(CLASSES)),
        "nms_iou": " ".join(str(nms_iou(i)) for i in range(len(CLASSES))),
        "parts": "; ".join(f"{name}: {' '.join(labels)}" for name, labels in PARTS.items()),
        "size": str(SIZE),
        "close_size": str(CLOSE_SIZE),
        "precision": precision,
        "license": "AGPL-3.0",
    }
    for key, value in metadata.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, path, compress_to_fp16=True)
    for part in (path, path.with_suffix(".bin")):
        megabytes = part.stat().st_size / 1e6
        print(f"{part.name}: {megabytes:.2f} MB")
        if megabytes > MAX_MEGABYTES:
            raise SystemExit(f"{part.name} is larger than {MAX_MEGABYTES} MB")


def quantize(model: ov.Model, work: Path) -> ov.Model:
    """Quantise the network to INT8 with NNCF, except for the box decoding after its convolutions.

    NNCF's slow correction of biases measures a layer's error with all layers before it quantised.
    It is what keeps the bags: any bag 0.327; 0.317 with the fast one, 0.341 in floating point.
    """
    import nncf

    listed = sorted(set((work / "train.txt").read_text(encoding="utf-8").split()))
    chosen = np.random.default_rng(0).choice(listed, min(CALIBRATION_IMAGES, len(listed)), False)

    def square(file: str) -> NDArray[np.float32]:
        blob, _ = letterbox(read_image(work / file), CALIBRATION_SIZE)
        margin = [(0, CALIBRATION_SIZE - length) for length in blob.shape[2:]]
        return np.pad(blob, [(0, 0), (0, 0), *margin], constant_values=114 / 255)

    decoding = r"__module\.(coco|branch)\.model\.22(/|\.dfl).*"
    joining = r"aten::.*"
    model.reshape([1, 3, CALIBRATION_SIZE, CALIBRATION_SIZE])  # a fixed shape is much faster
    quantized: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(list(chosen), square),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(chosen),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(patterns=[decoding, joining]),
    )
    quantized.reshape([-1, 3, -1, -1])
    return quantized


def with_parts(model: ov.Model) -> ov.Model:
    """Add the outputs of both branches, which the first output joins."""
    whole = model.output(0)
    joined = whole.get_node().input_value(0).get_node()
    coco, small = (value for value in joined.input_values())
    divided = ov.Model(
        [joined.output(0), coco, small], model.get_parameters(), model.get_friendly_name()
    )
    for output, name in zip(divided.outputs, ("objects", *PARTS), strict=True):
        output.get_tensor().set_names({name})
    return divided


def milliseconds(path: Path, shape: tuple[int, int, int, int]) -> float:
    """Return the median CPU time of an inference with shape (B, 3, H, W) on one thread.

    It is not wall time, which depends on other load on the machine.
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
    """Write OUT/watchpost.xml and optionally watchpost_plain.xml; print sizes and times."""
    out.mkdir(parents=True, exist_ok=True)
    joined = Joined(coco, branch).eval()
    shipped, plain = out / "watchpost.xml", out / "watchpost_plain.xml"
    save(with_parts(compress(quantize(trace(joined, joined.names), work))), shipped, "INT8")
    if with_plain:
        save(with_parts(compress(trace(joined, joined.names))), plain, "int8 weights")
        print_times(plain, shipped)


def compress(model: ov.Model) -> ov.Model:
    """Store the remaining weights as INT8, with a scale for each output channel.

    `app.models.openvino_runtime` dequantises them.
    """
    import nncf

    compressed: ov.Model = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    return compressed


def print_times(plain: Path, shipped: Path) -> None:
    """Print a Markdown table of CPU times."""
    print("| input | floating point, ms | INT8, ms | ratio |\n|---|---:|---:|---:|")
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
    parser.add_argument(
        "--plain", action="store_true", help="also write one without INT8, and compare"
    )
    args = parser.parse_args()
    export(args.work, args.coco, args.branch, args.out, args.plain)


if __name__ == "__main__":
    main()
