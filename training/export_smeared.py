"""Convert what ``training.train_smeared`` wrote to OpenVINO in INT8.

    WATCHPOST_DATA=... python -m training.export_smeared TRAINED.pt \
        app/models/weights/smeared_plates.xml [--leave-out 0 3]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import openvino as ov

from training.images import data_root
from training.network import convert
from training.smeared_samples import CANVAS, SampleSource
from training.train_smeared import LABEL, as_batch

SIZE, THRESHOLD, NMS_IOU = 512, 0.3, 0.3
CALIBRATION_SAMPLES = 160
DECODING = r"__module\.model\.22(/|\.dfl).*"
"""Layers after the last convolutions, which compute boxes in floating point."""


def export(trained: Path, source: SampleSource, out: Path) -> None:
    """Write the network (.xml and .bin) with its metadata inside.

    Args:
        source: samples from which the ranges of values are taken.
    """
    model, names = convert(trained)
    if list(names.values()) != [LABEL]:
        raise ValueError(f"{trained} has unexpected classes: {list(names.values())}")
    model = quantize(model, source)
    metadata = {
        "names": repr(names),
        "labels": LABEL,
        "thresholds": str(THRESHOLD),
        "nms_iou": str(NMS_IOU),
        "size": str(SIZE),
        "precision": "INT8",
        "license": "AGPL-3.0",
    }
    for key, value in metadata.items():
        model.set_rt_info(value, ["model_info", key])
    ov.save_model(model, out, compress_to_fp16=True)
    for file in (out, out.with_suffix(".bin")):
        print(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB")


def quantize(model: ov.Model, source: SampleSource) -> ov.Model:
    """Quantise a network to INT8 with NNCF, except for the decoding of boxes."""
    import nncf

    samples = [source.draw() for _ in range(CALIBRATION_SAMPLES)]
    inputs = [np.ascontiguousarray(as_batch([sample])["img"].numpy()) for sample in samples]
    model.reshape([1, 3, *CANVAS])  # a fixed shape is much faster
    quantized: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(inputs),
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(patterns=[DECODING]),
    )
    quantized.reshape([-1, 3, -1, -1])
    return quantized


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--leave-out", type=int, nargs="*", default=[])
    chosen = parser.parse_args()
    export(chosen.trained, SampleSource(data_root(), chosen.leave_out, 0), chosen.out)


if __name__ == "__main__":
    main()
