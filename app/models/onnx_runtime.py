"""The ONNX Runtime runtime: NVIDIA GPUs, Apple's accelerators, and its CPU provider."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from app.config import usable_cpus
from app.errors import SetupError
from app.models.network import Images, Outputs, in_batches
from app.models.onnx_export import INPUT, to_onnx
from app.models.openvino_runtime import QUEUED, UNUSED_S, OpenVinoNetwork

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
BATCH = 8
"""Images in a batch on an accelerator: enough to fill it, and no stream waits long for the rest."""
ERRORS_ONLY = 3
OPTIONS: dict[str, dict[str, Any]] = {
    # The exhaustive search, its default, would try every algorithm again for each new size.
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC"},
    "CoreMLExecutionProvider": {"ModelFormat": "MLProgram"},
}
FULL_PRECISION: dict[str, dict[str, Any]] = {CUDA: {"use_tf32": "0"}}


class OnnxNetwork:
    """A network on ONNX Runtime, in floating point, with one session for each image size.

    Args:
        network: the same network on OpenVINO, whose graph it takes.
        provider: ONNX Runtime's name of the device.
        full_precision: compute in float32 also where that is slower.

    Raises:
        SetupError: the packages are missing, or the provider cannot be used.
    """

    def __init__(
        self, network: OpenVinoNetwork, provider: str, *, full_precision: bool = False
    ) -> None:
        try:
            import onnxruntime
        except ImportError:
            reason = "the package onnxruntime is missing"
            raise SetupError(reason=reason) from None
        self._runtime = onnxruntime
        if provider == CUDA:
            onnxruntime.preload_dlls()  # finds CUDA and cuDNN in packages that pip installed
        self.name, self.path = network.name, network.path
        self.metadata, self.fixed_size = network.metadata, network.fixed_size
        on_cpu = provider == CPU
        self.parallel = usable_cpus() if on_cpu else QUEUED
        self._fixed_batch = (
            network.max_batch if network.graph.input(0).partial_shape.is_static else 0
        )
        self.max_batch = self._fixed_batch or (1 if on_cpu else BATCH)
        kind = provider.removesuffix("ExecutionProvider")
        self.device = f"{kind}, ONNX Runtime {onnxruntime.__version__}"
        self.precision = "fp32"
        self.parts = {
            name: OnnxNetwork(part, provider, full_precision=full_precision)
            for name, part in network.parts.items()
        }
        self._network = network
        self._provider = provider
        self._options = dict(OPTIONS.get(provider, {}))
        if full_precision:
            self._options |= FULL_PRECISION.get(provider, {})
        self._opening = threading.Lock()
        self._sessions: dict[tuple[int, int], InferenceSession] = {}
        self._used_at: dict[tuple[int, int], float] = {}

    def infer(self, images: Images) -> Outputs:
        """Run a batch of images of the same size in one pass. Raises RuntimeError if it fails."""
        if self._fixed_batch:
            return in_batches(self._infer, images, self._fixed_batch)
        return self._infer(images)

    def _infer(self, images: Images) -> Outputs:
        size = images.shape[1], images.shape[2]
        self._used_at[size] = time.monotonic()
        session = self._session(size)
        try:
            return list(session.run(None, {INPUT: images}))
        except Exception as error:  # its errors derive from nothing more specific
            raise RuntimeError(str(error)) from error

    def _session(self, size: tuple[int, int]) -> InferenceSession:
        with self._opening:
            if size not in self._sessions:
                self._sessions[size] = self._open(size)
            return self._sessions[size]

    def free_unused(self) -> None:
        """Free the sizes that were not used for a while."""
        now = time.monotonic()
        for size in [s for s in self._sessions if now - self._used_at[s] > UNUSED_S]:
            self._sessions.pop(size, None)  # another thread may have been faster
        for part in self.parts.values():
            part.free_unused()

    def _open(self, size: tuple[int, int]) -> InferenceSession:
        file = to_onnx(self._network.graph, *size, self._network.divide_by)
        options = self._runtime.SessionOptions()
        options.log_severity_level = ERRORS_ONLY
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # callers run in parallel
        try:
            session = self._runtime.InferenceSession(
                file, options, providers=[(self._provider, self._options)]
            )
        except Exception as error:  # its errors derive from nothing more specific
            raise SetupError(reason=_first_line(error)) from error
        if session.get_providers()[0] != self._provider:
            raise SetupError(reason=f"ONNX Runtime cannot use its {self._provider} here")
        return session


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
