"""What runs a network: OpenVINO. Shapes are (N, H, W, 3) uint8 RGB in, float32 arrays out."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

# Importing openvino tells an analytics service on the internet, unless this module is missing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino as ov
from openvino.preprocess import PrePostProcessor

from app.config import usable_cpus
from app.errors import SetupError

logger = logging.getLogger(__name__)

Images = npt.NDArray[np.uint8]
Outputs = list[npt.NDArray[np.float32]]


class Network(Protocol):
    """A network that may be asked from several threads at once.

    Attributes:
        parallel: how many threads asking at once use the machine best.
    """

    name: str
    parallel: int

    def infer(self, images: Images) -> Outputs:
        """Run a batch. All images of a batch have one size; each output has N first."""
        ...


class OpenVinoNetwork:
    """A network file on OpenVINO, compiled once for each picture size that is asked for.

    As many requests as there are CPUs run side by side, each on one core: two requests on one
    core each take a quarter less CPU time than one after the other on both. The batch stays
    dynamic. Conversion from uint8 NHWC is part of the compiled graph, free of the GIL.

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
        self.parallel = usable_cpus()
        # The binding builds a table at the first of these calls and lets the GIL go meanwhile: two
        # threads that make their first call together lock the whole process up for ever.
        ov.Type.u8.to_dtype()
        self._core = ov.Core()
        if cache_dir is not None:
            self._core.set_property({"CACHE_DIR": str(cache_dir)})
        try:
            model = self._core.read_model(path)
        except RuntimeError as error:
            raise SetupError(reason=f"{path.name} is not a network OpenVINO can read") from error
        self._model = model if outputs is None else _keep_outputs(model, outputs)
        self._compiling = threading.Lock()
        self._compiled: dict[tuple[int, int], ov.CompiledModel] = {}
        self._local = threading.local()  # a request serves one thread at a time

    def infer(self, images: Images) -> Outputs:
        size = (images.shape[1], images.shape[2])
        requests: dict[tuple[int, int], ov.InferRequest]
        requests = self._local.__dict__.setdefault("requests", {})
        if size not in requests:
            requests[size] = self._compile(*size).create_infer_request()
        answer = requests[size].infer([images], share_inputs=True)
        return [np.array(value) for value in answer.values()]

    def _compile(self, height: int, width: int) -> ov.CompiledModel:
        with self._compiling:
            if (height, width) not in self._compiled:
                self._compiled[height, width] = self._compile_anew(height, width)
            return self._compiled[height, width]

    def _compile_anew(self, height: int, width: int) -> ov.CompiledModel:
        model = self._model.clone()
        model.reshape({model.input(0): ov.PartialShape([-1, 3, height, width])})
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        config = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": self.parallel,
            "INFERENCE_NUM_THREADS": self.parallel,
            # Decoders and encoders need the same cores; the kernel places threads better.
            "ENABLE_CPU_PINNING": False,
        }
        compiled = self._core.compile_model(steps.build(), "CPU", config)
        logger.info("%s compiled for %d x %d", self.name, width, height)
        return compiled


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
