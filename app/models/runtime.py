"""What runs a network: OpenVINO. Shapes are (N, H, W, 3) uint8 RGB in, float32 arrays out."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino.preprocess import PrePostProcessor

from app.config import usable_cpus
from app.errors import SetupError

logger = logging.getLogger(__name__)

Images = npt.NDArray[np.uint8]
Outputs = list[npt.NDArray[np.float32]]


class Network(Protocol):
    """A network that can be asked from one thread at a time."""

    name: str

    def infer(self, images: Images) -> Outputs:
        """Run a batch. All images of a batch have one size; each output has N first."""
        ...


class OpenVinoNetwork:
    """A network file on OpenVINO, compiled once for each picture size that is asked for.

    The batch stays dynamic. Conversion from uint8 NHWC to what the network takes is part of
    the compiled graph, where it is free of Python and of the GIL.

    Args:
        path: ONNX or OpenVINO IR file, fully convolutional, NCHW input of values 0 to 255.
        outputs: names of the outputs to keep, in order; the rest is cut off the graph.
        cache_dir: where compiled networks are kept between starts.

    Raises:
        SetupError: when the file is missing or not a network.
    """

    def __init__(
        self, path: Path, *, outputs: list[str] | None = None, cache_dir: Path | None = None
    ) -> None:
        self.name = path.stem
        self._path = path
        self._outputs = outputs
        self._core = ov.Core()
        if cache_dir is not None:
            self._core.set_property({"CACHE_DIR": str(cache_dir)})
        self._requests: dict[tuple[int, int], ov.InferRequest] = {}
        self._lock = threading.Lock()
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise SetupError(reason=f"{path.name} is not a network OpenVINO can read") from error

    def infer(self, images: Images) -> Outputs:
        with self._lock:
            height, width = images.shape[1:3]
            request = self._requests.get((height, width))
            if request is None:
                request = self._requests[height, width] = self._compile(height, width)
            answer = request.infer([images], share_inputs=True)
            return [np.array(value) for value in answer.values()]

    def _compile(self, height: int, width: int) -> ov.InferRequest:
        model = self._model.clone()
        if self._outputs is not None:
            model = _keep_outputs(model, self._outputs)
        model.reshape({model.input(0): ov.PartialShape([-1, 3, height, width])})
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        compiled = self._core.compile_model(
            steps.build(),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": usable_cpus(),
                # Decoders and encoders need the same cores; the kernel places threads better.
                "ENABLE_CPU_PINNING": False,
            },
        )
        logger.info("%s compiled for %d x %d", self.name, width, height)
        return compiled.create_infer_request()


def _keep_outputs(model: ov.Model, names: list[str]) -> ov.Model:
    kept = [model.output(name).get_node().input_value(0) for name in names]
    return ov.Model(
        [value.get_node().outputs()[value.get_index()] for value in kept],
        model.get_parameters(),
        model.get_friendly_name(),
    )


def has_fast_bf16() -> bool:
    """Whether this CPU computes in bfloat16 natively (then OpenVINO uses it by itself)."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
