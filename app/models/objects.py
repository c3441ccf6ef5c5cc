"""Object detection: people, bags, vehicles, faces, plates and cigarettes in one pass.

The network outputs a box and class confidences for each of thousands of anchors (YOLOv8 and
later: Jocher et al., Ultralytics) or, if its file includes NMS, a list of boxes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.config import ObjectSettings
from app.errors import DetectorError, SetupError
from app.models.batching import BatchingRunner
from app.models.detections import PendingDetections, RawDetections
from app.models.letterbox import STRIDE, CanvasChoice, Image, Size, canvas_for, letterbox, padded
from app.models.model_metadata import ModelMetadata, read_model_metadata
from app.models.network import HasParts, Network, Outputs
from app.models.nms import Floats, suppress
from app.models.weights_file import DetectionNetwork, open_weights

MAX_CANDIDATES = 1000
MAX_BOXES = 300
LOAD_TIMEOUT_S = 120.0
COMMON_SHAPE = (9, 16)


class ObjectDetector:
    """Detects objects of Watchpost's labels, on the network that all streams share.

    Args:
        runner: the shared runner of the network.
        metadata: how its outputs are read.
        fixed_size: the only height and width that the network accepts, or None.
        longest: longer side of its input in pixels; None for the network's own.
        multiple: shorter sides are padded to a multiple of this, 32 or more. A larger one means
            fewer shapes to compile, for images of many shapes.
        min_confidence: for all labels; None for the network's own thresholds.

    Attributes:
        labels: Watchpost's labels that it detects.
    """

    def __init__(
        self,
        runner: BatchingRunner,
        metadata: ModelMetadata,
        *,
        fixed_size: Size | None = None,
        longest: int | None = None,
        multiple: int = STRIDE,
        min_confidence: float | None = None,
    ) -> None:
        self.runner = runner
        self.metadata = metadata
        self.longest = max(fixed_size) if fixed_size else padded(longest or metadata.size)
        self.crop_size = max(fixed_size) if fixed_size else padded(metadata.crop_size)
        self.fixed_size = fixed_size
        self.thresholds = metadata.thresholds
        if min_confidence is not None:
            self.thresholds = np.full_like(metadata.thresholds, min_confidence)
        self._multiple = multiple
        self._canvases = CanvasChoice(self.longest, self.longest)
        self._part: Network | None = None
        self.labels = tuple(dict.fromkeys(metadata.labels))

    def for_labels(self, labels: Iterable[str]) -> ObjectDetector:
        """Return a copy that computes only the part of the network that detects these labels.

        It is the detector itself where no single part detects all of them.
        """
        wanted = frozenset(labels) & frozenset(self.labels)
        parts = self.runner.network.parts if isinstance(self.runner.network, HasParts) else {}
        for name, detected in self.metadata.parts.items():
            if name in parts and wanted <= detected:
                other = copy.copy(self)
                other._part = parts[name]
                other.labels = tuple(label for label in self.labels if label in detected)
                return other
        return self

    def threshold(self, label: str) -> float:
        """Minimum confidence at which an object of this label is reported."""
        return float(self.thresholds[self._columns_of(label)].min())

    def with_threshold(self, label: str, confidence: float) -> ObjectDetector:
        """Return a copy on the same network that reports this label from a lower confidence."""
        other = copy.copy(self)
        other.thresholds = self.thresholds.copy()
        other.thresholds[self._columns_of(label)] = min(confidence, self.threshold(label))
        return other

    def _columns_of(self, label: str) -> list[int]:
        return [column for column, name in enumerate(self.metadata.labels) if name == label]

    def submit(self, image: Image) -> PendingDetections:
        """Request the objects in an (H, W, 3) RGB image. Raises DetectorError when overloaded."""
        size = image.shape[0], image.shape[1]
        canvas = canvas_for(size, self.longest, self._multiple)
        return self._submit(image, self._canvases.choose(canvas))

    def submit_crop(self, crop: Image, side: int | None = None) -> PendingDetections:
        """Request the objects in a roughly square crop of an image, which may be enlarged.

        Args:
            side: side of the square input, a multiple of 32; ``crop_size`` if None.
        """
        side = side or self.crop_size
        return self._submit(crop, (side, side))

    def submit_part(self, part: Image, scale: float) -> PendingDetections:
        """Request the objects in a part of an image at the same scale as in the whole.

        Args:
            scale: pixels of the network's input for each pixel of the image.
        """
        height, width = part.shape[:2]
        return self._submit(part, (padded(scale * height), padded(scale * width)))

    def close(self) -> None:
        """Finish the waiting requests, then end the network's threads."""
        self.runner.close()

    def _submit(self, image: Image, canvas: Size) -> PendingDetections:
        boxed, (height, width) = letterbox(image, self.fixed_size or canvas)
        part = () if self._part is None else (self._part,)
        answer = self.runner.submit(boxed, *part)
        return PendingDetections("objects", answer, (width, height), self._read)

    def _read(self, outputs: Outputs) -> RawDetections:
        boxes, confidences, columns = decode(outputs, self.metadata, self.thresholds)
        return RawDetections(
            boxes, confidences, [self.metadata.labels[column] for column in columns]
        )


def decode(
    outputs: Outputs, metadata: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Return boxes (N, 4) as x1, y1, x2, y2 on the canvas, confidences and columns (N,).

    The output is (4 + classes, anchors): centre, size and class confidences, or (boxes, 6):
    corners, confidence and class after NMS. Columns index ``metadata.labels``. Best first, at
    most 300.

    Raises:
        ValueError, IndexError: for invalid outputs, which must never be taken for "no objects".
    """
    output = outputs[0]
    if output.ndim != 2 or not output.size:
        raise ValueError(f"the network's output has the shape {output.shape}")
    if not np.isfinite(output).all():
        raise ValueError("the network's output contains NaN or infinity")
    if output.shape[0] == 4 + metadata.classes:
        boxes, confidences, columns = _from_anchors(output, metadata, thresholds)
    elif output.shape[1] == 6:
        boxes, confidences, columns = _from_boxes(output, metadata, thresholds)
    else:
        raise ValueError(f"the network's output has the shape {output.shape}")
    groups = np.unique(metadata.labels, return_inverse=True)[1][columns]
    kept = suppress(boxes, confidences, groups, metadata.nms_iou[columns])[:MAX_BOXES]
    return boxes[kept], confidences[kept], columns[kept]


def _from_anchors(
    output: Floats, metadata: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    scores = output[4:][metadata.columns]
    if scores.min() < 0 or scores.max() > 1.001 or not output[2:4].any():
        raise ValueError("the network's output is not confidences between 0 and 1")
    columns = scores.argmax(axis=0)
    confidences = np.take_along_axis(scores, columns[None], axis=0)[0]
    kept = np.flatnonzero(confidences >= thresholds[columns])
    if len(kept) > MAX_CANDIDATES:
        kept = kept[np.argpartition(-confidences[kept], MAX_CANDIDATES)[:MAX_CANDIDATES]]
    centre, half = output[:2, kept].T, output[2:4, kept].T / 2
    if (half <= 0).any():
        raise ValueError("the network's boxes have no size")
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return boxes, confidences[kept], columns[kept]


def _from_boxes(
    output: Floats, metadata: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Read a list of boxes; unused rows are zero or have a tiny confidence."""
    classes = output[:, 5].astype(np.intp)
    wrong = (
        (classes < 0) | (classes >= metadata.classes) | (output[:, 4] < 0) | (output[:, 4] > 1.001)
    )
    if wrong.any():
        raise ValueError("the network's boxes have no valid class or confidence")
    column_of = np.full(metadata.classes, -1)
    column_of[metadata.columns] = np.arange(len(metadata.columns))
    columns = column_of[classes]
    kept = np.flatnonzero((columns >= 0) & (output[:, 4] >= thresholds[columns]))
    return output[kept, :4].copy(), output[kept, 4], columns[kept]


def load_objects(
    settings: ObjectSettings,
    device: str = "auto",
    data_dir: Path | None = None,
    *,
    multiple: int = STRIDE,
) -> ObjectDetector:
    """Load the network that the settings name, or the shipped one, ready to be shared.

    Custom weights are run once before this returns, at the shape of most cameras. The shipped
    network is known to work and is compiled at the first request: a server that only blurs
    should neither wait for that nor spend memory on it.

    Args:
        device: a value of ``--device``.
        data_dir: ``cache`` in it keeps compiled networks; ``weights`` in it is searched for files.

    Raises:
        SetupError: when the file is missing, damaged or unusable here.
    """
    network = open_weights(settings.weights, device, data_dir)
    metadata = read_model_metadata(network.metadata, network.path.name)
    runner = BatchingRunner(network)
    detector = ObjectDetector(
        runner,
        metadata,
        fixed_size=network.fixed_size,
        longest=settings.width,
        multiple=multiple,
        min_confidence=settings.min_confidence,
    )
    if settings.weights:
        try:
            _smoke_test(detector, network)
        except SetupError:
            detector.close()
            raise
    return detector


def _smoke_test(detector: ObjectDetector, network: DetectionNetwork) -> None:
    """Run once on a grey image, so that a faulty file fails now and not later in a stream."""
    side = detector.longest
    image = np.full((side * COMMON_SHAPE[0] // COMMON_SHAPE[1], side, 3), 114, np.uint8)
    try:
        detector.submit(image).detections(LOAD_TIMEOUT_S, (1, 1))
    except DetectorError as error:
        cause = error.__cause__
        why = str(cause).strip().splitlines()[0] if cause and str(cause).strip() else str(error)
        raise SetupError(
            reason=f"{network.path.name} cannot be used: {why}. Watchpost needs an undamaged "
            "detection network as Ultralytics exports it (task detect)."
        ) from error
