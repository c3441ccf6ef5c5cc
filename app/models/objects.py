"""What is in an image: people, bags, vehicles, faces, plates and cigarettes, in one pass.

For each of thousands of positions the network gives a box and a confidence for each class
(YOLOv8 and later: Jocher et al., Ultralytics), or, if its file includes NMS, a list of boxes.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.config import ObjectSettings
from app.errors import DetectorError, SetupError
from app.models.batching import BatchingRunner
from app.models.detections import PendingDetections, RawDetections
from app.models.letterbox import STRIDE, CanvasChoice, Image, Size, canvas_for, letterbox, padded
from app.models.model_metadata import ModelMetadata, read_model_metadata
from app.models.nms import Floats, suppress
from app.models.openvino_runtime import Outputs
from app.models.weights_file import BoxNetwork, open_weights

MOST_CANDIDATES = 1000
MOST_BOXES = 300
LOAD_PATIENCE_S = 120.0
COMMON_SHAPE = (9, 16)


class ObjectDetector:
    """Detects objects of our labels in images, on the network that all streams share.

    Args:
        runner: the shared owner of the network.
        card: how its outputs are read.
        fixed_size: the only height and width that the network takes, or None.
        longest: longer side of its input in pixels; None for the network's own.
        multiple: shorter sides are padded to a multiple of this, 32 or more. More means fewer
            shapes to compile, for images of many shapes.
        min_confidence: for all labels; None for the network's own thresholds.
    """

    def __init__(
        self,
        runner: BatchingRunner,
        card: ModelMetadata,
        *,
        fixed_size: Size | None = None,
        longest: int | None = None,
        multiple: int = STRIDE,
        min_confidence: float | None = None,
    ) -> None:
        self.runner = runner
        self.card = card
        self.longest = max(fixed_size) if fixed_size else padded(longest or card.size)
        self.close_size = max(fixed_size) if fixed_size else padded(card.close_size)
        self.fixed_size = fixed_size
        self.thresholds = card.thresholds
        if min_confidence is not None:
            self.thresholds = np.full_like(card.thresholds, min_confidence)
        self._multiple = multiple
        self._canvases = CanvasChoice(self.longest, self.longest)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of ours that this network knows."""
        return tuple(dict.fromkeys(self.card.labels))

    def threshold(self, label: str) -> float:
        """The confidence from which an object of this label is reported."""
        return float(self.thresholds[self._columns_of(label)].min())

    def with_threshold(self, label: str, confidence: float) -> ObjectDetector:
        """The same shared network, with objects of this label reported from that confidence on."""
        other = copy.copy(self)
        other.thresholds = self.thresholds.copy()
        other.thresholds[self._columns_of(label)] = min(confidence, self.threshold(label))
        return other

    def _columns_of(self, label: str) -> list[int]:
        return [column for column, name in enumerate(self.card.labels) if name == label]

    def submit(self, image: Image) -> PendingDetections:
        """Request the objects of a (H, W, 3) RGB image. Raises DetectorError when overloaded."""
        size = image.shape[0], image.shape[1]
        wanted = canvas_for(size, self.longest, self._multiple)
        return self._submit(image, self._canvases.choose(wanted))

    def submit_crop(self, crop: Image, side: int | None = None) -> PendingDetections:
        """The same for a part of an image, of about square shape, which may be enlarged.

        Args:
            side: of the square that it is brought to, a multiple of 32; the network's own if None.
        """
        side = side or self.close_size
        return self._submit(crop, (side, side))

    def close(self) -> None:
        """Finish the waiting requests, then end the network's threads."""
        self.runner.close()

    def _submit(self, image: Image, canvas: Size) -> PendingDetections:
        boxed, (height, width) = letterbox(image, self.fixed_size or canvas)
        return PendingDetections("objects", self.runner.submit(boxed), (width, height), self._read)

    def _read(self, outputs: Outputs) -> RawDetections:
        boxes, confidences, columns = decode(outputs, self.card, self.thresholds)
        return RawDetections(boxes, confidences, [self.card.labels[column] for column in columns])


def decode(
    outputs: Outputs, card: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Boxes (N, 4) as x1, y1, x2, y2 on the canvas, confidences (N,), columns of the card (N,).

    Takes (4 + classes, places): centre, extent and the confidence of each class, or (boxes, 6):
    corners, confidence and class, with NMS done. Best first, at most 300.

    Raises:
        ValueError, IndexError: for what cannot be right; it must not read as "nothing there".
    """
    output = outputs[0]
    if output.ndim != 2 or not output.size:
        raise ValueError(f"the network's output has the shape {output.shape}")
    if not np.isfinite(output).all():
        raise ValueError("the network's answer is not a number everywhere")
    if output.shape[0] == 4 + card.classes:
        boxes, confidences, columns = _from_places(output, card, thresholds)
    elif output.shape[1] == 6:
        boxes, confidences, columns = _from_list(output, card, thresholds)
    else:
        raise ValueError(f"the network's output has the shape {output.shape}")
    groups = np.unique(card.labels, return_inverse=True)[1][columns]
    kept = suppress(boxes, confidences, groups, card.nms_iou[columns])[:MOST_BOXES]
    return boxes[kept], confidences[kept], columns[kept]


def _from_places(
    output: Floats, card: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    scores = output[4:][card.columns]
    if scores.min() < 0 or scores.max() > 1.001 or not output[2:4].any():
        raise ValueError("the network's numbers are not confidences")
    columns = scores.argmax(axis=0)
    confidences = np.take_along_axis(scores, columns[None], axis=0)[0]
    sure = np.flatnonzero(confidences >= thresholds[columns])
    if len(sure) > MOST_CANDIDATES:
        sure = sure[np.argpartition(-confidences[sure], MOST_CANDIDATES)[:MOST_CANDIDATES]]
    centre, half = output[:2, sure].T, output[2:4, sure].T / 2
    if (half <= 0).any():
        raise ValueError("the network's boxes have no size")
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    return boxes, confidences[sure], columns[sure]


def _from_list(
    output: Floats, card: ModelMetadata, thresholds: Floats
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Places of the list that nothing was found for are zero, or have a tiny confidence."""
    classes = output[:, 5].astype(np.intp)
    wrong = (classes < 0) | (classes >= card.classes) | (output[:, 4] < 0) | (output[:, 4] > 1.001)
    if wrong.any():
        raise ValueError("the network's boxes have no class or no confidence")
    column_of = np.full(card.classes, -1)
    column_of[card.columns] = np.arange(len(card.columns))
    columns = column_of[classes]
    sure = np.flatnonzero((columns >= 0) & (output[:, 4] >= thresholds[columns]))
    return output[sure, :4].copy(), output[sure, 4], columns[sure]


def load_objects(
    settings: ObjectSettings,
    device: str = "auto",
    data_dir: Path | None = None,
    *,
    multiple: int = STRIDE,
) -> ObjectDetector:
    """The network that the settings name, or the shipped one, ready to be shared.

    Foreign weights are run once before this returns, at the shape of most cameras. The shipped
    network is known to work; it is compiled at the first request, as a server that only blurs
    should neither wait for that nor hold its memory.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        data_dir: its ``cache`` keeps compiled networks, its ``weights`` may hold files by name.

    Raises:
        SetupError: when the file is missing, damaged or unusable here.
    """
    network = open_weights(settings.weights, device, data_dir)
    card = read_model_metadata(network.metadata, network.path.name)
    runner = BatchingRunner(network)
    detector = ObjectDetector(
        runner,
        card,
        fixed_size=network.fixed_size,
        longest=settings.width,
        multiple=multiple,
        min_confidence=settings.min_confidence,
    )
    if settings.weights:
        try:
            _try(detector, network)
        except SetupError:
            detector.close()
            raise
    return detector


def _try(detector: ObjectDetector, network: BoxNetwork) -> None:
    """One run on a grey image: a faulty file shows now and not later in a stream."""
    side = detector.longest
    picture = np.full((side * COMMON_SHAPE[0] // COMMON_SHAPE[1], side, 3), 114, np.uint8)
    try:
        detector.submit(picture).detections(LOAD_PATIENCE_S, (1, 1))
    except DetectorError as error:
        cause = error.__cause__
        why = str(cause).strip().splitlines()[0] if cause and str(cause).strip() else str(error)
        raise SetupError(
            reason=f"{network.path.name} cannot be used: {why}. Watchpost needs a network for "
            "detection as Ultralytics exports it (task detect), and the file undamaged."
        ) from error
