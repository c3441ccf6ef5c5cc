"""The OpenVINO runtime: (N, H, W, 3) uint8 RGB in, float32 arrays out."""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor

from app.config import usable_cpus
from app.errors import SetupError
from app.models.letterbox import IDLE_S
from app.models.model_metadata import labels_by_part
from app.models.network import Images, Outputs, in_batches
from app.models.openvino_faults import opaque_identity, work_around_faults

logger = logging.getLogger(__name__)

MANY_SIZES = 2
"""Sizes with a compiled network of their own: those of a camera's whole frame and of one part of
it. Each takes 0.2 to 1 s and 10 to 110 MiB; all others share one for any size, which is as fast,
except for small images, where it takes a tenth to a third longer."""
CACHED_STEPS = 2000
"""Steps of a network for any size that are kept ready for the sizes it has met: those of about
twenty sizes. OpenVINO's own limit is more than twice that."""
UNUSED_S = 300.0
"""A size that was not used for this long is freed."""
CHECK_S = 10.0
QUEUED = 2
"""Requests that an accelerator gets at the same time: one is copied while the other is computed."""


ISA_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")


class OpenVinoNetwork:
    """A network file on OpenVINO, for images of any size.

    On the CPU it is compiled for the first two sizes, and once for any other size. A size that was
    not used for five minutes is freed; for one minute, if another size needs its place.

    As many requests as there are CPUs run in parallel, each on one core: that takes a quarter
    less CPU time than running them one after the other on all cores. A
    batch is run image by image: on one core that costs nothing, while a dynamic batch size makes
    a network a tenth slower. Conversion from uint8 NHWC is part of the compiled graph, outside
    the GIL.

    Args:
        path: ONNX or OpenVINO IR file with one NCHW input.
        outputs: names of the outputs to keep, in order; the others are removed from the graph.
        divide_by: 1 for a network that takes values from 0 to 255, 255 for one from 0 to 1.
        keeps_shape: keep the height and width that are fixed in the file. Without this the
            network must be fully convolutional.
        full_precision: compute in float32 also on CPUs that are faster in bfloat16.
        cache_dir: where compiled networks are kept between starts.
        target: OpenVINO's name of the device: ``CPU``, ``GPU``, ``NPU``.
        exact_sizes: sizes with a compiled network of their own; ``MANY_SIZES`` if None.

    Attributes:
        fixed_size: the only height and width that it accepts; None for any size.
        metadata: metadata stored in the file.
        parts: networks of its single outputs, by their names in the metadata's ``parts``; each
            computes only what its output needs. Empty for a network of one output.

    Raises:
        SetupError: when the file is missing or not a network.
    """

    def __init__(
        self,
        path: Path,
        *,
        outputs: list[str] | None = None,
        divide_by: float = 1,
        keeps_shape: bool = False,
        full_precision: bool = False,
        cache_dir: Path | None = None,
        target: str = "CPU",
        exact_sizes: int | None = None,
    ) -> None:
        self.name = path.stem
        self.path = path
        self.parallel = usable_cpus() if target == "CPU" else QUEUED
        self.device = f"{target}, OpenVINO {ov.__version__.partition('-')[0]}"
        self._target = target
        self._exact_sizes = exact_sizes
        self._divide_by = divide_by
        self._full_precision = full_precision
        # The binding builds a table in the first of these calls and releases the GIL meanwhile: two
        # threads that make their first call at the same time deadlock the whole process.
        ov.Type.u8.to_dtype()
        self._core = ov.Core()
        if cache_dir is not None:
            self._core.set_property({"CACHE_DIR": str(cache_dir)})
        try:
            model = self._core.read_model(path)
        except RuntimeError as error:
            raise SetupError(
                reason=f"{path.name} is not a network that OpenVINO can read"
            ) from error
        self.metadata: Mapping[str, object] = _metadata(model)
        self.precision = _precision(model)
        work_around_faults(model, target)
        self._model = model if outputs is None else _keep_outputs(model, outputs)
        self.fixed_size: tuple[int, int] | None = None
        self.max_batch = 1
        if keeps_shape:
            self.fixed_size, self.max_batch = _fixed(model, path.name)
        self._forget_compiled()
        names = labels_by_part(self.metadata) if len(model.outputs) > 1 else {}
        self.parts = {name: self._part(name) for name in names}
        if self.parts:
            self._model = _keep_outputs(model, [model.output(0).get_any_name()])

    def _forget_compiled(self) -> None:
        self._compiling = threading.Lock()
        self._compiled: dict[tuple[int, int], ov.CompiledModel] = {}
        self._used_at: dict[tuple[int, int], float] = {}
        self._sharing: set[tuple[int, int]] = set()  # sizes with the network for any size
        self._checked_at = time.monotonic()
        self._local = threading.local()  # an InferRequest is not thread-safe

    @property
    def graph(self) -> ov.Model:
        """The network itself, for another runtime."""
        return self._model

    @property
    def divide_by(self) -> float:
        """What the values 0 to 255 are divided by first."""
        return self._divide_by

    def _part(self, output: str) -> OpenVinoNetwork:
        part = copy.copy(self)
        part.name = f"{self.name}, {output}"
        part.parts = {}
        part._model = _keep_outputs(self._model, [output])
        part._forget_compiled()
        return part

    def infer(self, images: Images) -> Outputs:
        """Run images of the same size in batches of ``max_batch``, the last padded with black."""
        return in_batches(self._infer, images, self.max_batch)

    def _infer(self, images: Images) -> Outputs:
        size = (images.shape[1], images.shape[2])
        self._used_at[size] = now = time.monotonic()
        if now - self._checked_at > CHECK_S:
            self.free_unused()
        requests = self._own_requests()
        if size not in requests:
            compiled = self._compile(*size)
            shared = self._sharing & requests.keys() if size in self._sharing else set()
            requests[size] = requests[shared.pop()] if shared else compiled.create_infer_request()
        answer = requests[size].infer([images], share_inputs=True)
        return [np.array(value) for value in answer.values()]

    def _own_requests(self) -> dict[tuple[int, int], ov.InferRequest]:
        """The requests of this thread; those for sizes that were freed are dropped."""
        requests: dict[tuple[int, int], ov.InferRequest]
        requests = self._local.__dict__.setdefault("requests", {})
        for size in [size for size in requests if size not in self._compiled]:
            del requests[size]
        return requests

    def _compile(self, height: int, width: int) -> ov.CompiledModel:
        size = height, width
        with self._compiling:
            if size not in self._compiled:
                if self._has_many_sizes:
                    self.free_unused(IDLE_S)
                if self._has_many_sizes:
                    self._compiled[size] = self._for_any_size()
                    self._sharing.add(size)
                else:
                    self._compiled[size] = self._compile_uncached(height, width)
            return self._compiled[size]

    @property
    def _has_many_sizes(self) -> bool:
        """Whether another size has to share; only on the CPU is that as fast."""
        if self._target != "CPU" or self.fixed_size is not None:
            return False
        most = MANY_SIZES if self._exact_sizes is None else self._exact_sizes
        return len(self._compiled.keys() - self._sharing) >= most

    def _for_any_size(self) -> ov.CompiledModel:
        shared = [self._compiled[size] for size in self._sharing if size in self._compiled]
        return shared[0] if shared else self._compile_uncached(-1, -1)

    def free_unused(self, for_s: float | None = None) -> None:
        """Free the sizes that were not used for a number of seconds (default: ``UNUSED_S``).

        The requests of a thread keep them as well, so each thread has to call this now and then.
        """
        self._checked_at = now = time.monotonic()
        limit_s = UNUSED_S if for_s is None else for_s
        # A copy: the other threads compile and free sizes meanwhile.
        for size in [size for size in list(self._compiled) if now - self._used_at[size] > limit_s]:
            self._compiled.pop(size, None)  # another thread may have been faster
            self._sharing.discard(size)
            logger.info("%s freed for %d x %d", self.name, size[1], size[0])
        self._own_requests()
        for part in self.parts.values():
            part.free_unused(for_s)

    def _compile_uncached(self, height: int, width: int) -> ov.CompiledModel:
        model = self._model.clone()
        if self.fixed_size is None:
            model.reshape({model.input(0): ov.PartialShape([self.max_batch, 3, height, width])})
        steps = PrePostProcessor(model)
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        if self._divide_by != 1:
            values = steps.input().preprocess().convert_element_type(ov.Type.f32)
            values.custom(opaque_identity)
            values.scale(float(self._divide_by))
        steps.input().model().set_layout(ov.Layout("NCHW"))
        config = self._config()
        if height < 0:
            config["CPU_RUNTIME_CACHE_CAPACITY"] = CACHED_STEPS
        compiled = self._core.compile_model(steps.build(), self._target, config)
        logger.info("%s compiled for %d x %d", self.name, width, height)
        return compiled

    def _config(self) -> dict[str, object]:
        if self._target == "NPU":  # it computes in half precision only
            return {"PERFORMANCE_HINT": "LATENCY"}
        config: dict[str, object] = {"PERFORMANCE_HINT": "THROUGHPUT"}
        if self._target == "CPU":
            config["NUM_STREAMS"] = config["INFERENCE_NUM_THREADS"] = self.parallel
            # Decoders and encoders need the same cores; the scheduler places threads better.
            config["ENABLE_CPU_PINNING"] = False
        if self._full_precision or (self._target == "CPU" and not has_fast_bf16()):
            config["INFERENCE_PRECISION_HINT"] = "f32"
        return config


def openvino_devices() -> list[str]:
    """The devices that OpenVINO finds here, such as ``CPU`` and ``GPU.0``."""
    return list(ov.Core().available_devices)


def _keep_outputs(model: ov.Model, names: list[str]) -> ov.Model:
    kept = [model.output(name).get_node().input_value(0) for name in names]
    return ov.Model(
        [value.get_node().outputs()[value.get_index()] for value in kept],
        model.get_parameters(),
        model.get_friendly_name(),
    )


def _metadata(model: ov.Model) -> dict[str, object]:
    """Return what exporters wrote: ONNX metadata (``framework``) and the IR's ``model_info``."""
    metadata: dict[str, object] = {}
    for section in ("framework", "model_info"):
        if model.has_rt_info([section]):
            values = model.get_rt_info([section]).value
            metadata |= values if isinstance(values, dict) else {}
    return {key: value for key, value in metadata.items() if str(value)}


def _precision(model: ov.Model) -> str:
    """Return ``int8`` if any part computes in INT8, else the type of most weights."""
    nodes = model.get_ops()
    if any(node.get_type_name() == "FakeQuantize" for node in nodes):
        return "int8"
    sizes: Counter[str] = Counter()
    for node in nodes:
        if node.get_type_name() == "Constant":
            sizes[node.get_element_type().get_type_name()] += math.prod(node.shape)
    name = sizes.most_common(1)[0][0] if sizes else "unknown"
    return {"f16": "fp16", "f32": "fp32", "i8": "int8 weights"}.get(name, name)


def _fixed(model: ov.Model, file: str) -> tuple[tuple[int, int] | None, int]:
    """Return the fixed height and width (None if dynamic) and batch size (1 if dynamic)."""
    shape = model.input(0).partial_shape if len(model.inputs) == 1 else ov.PartialShape.dynamic()
    if shape.rank.is_dynamic or len(shape) != 4 or shape[1] != ov.Dimension(3):
        raise SetupError(reason=f"{file} does not take colour images of shape (N, 3, H, W)")
    batch, _, height, width = (None if d.is_dynamic else d.get_length() for d in shape)
    return (None if height is None or width is None else (height, width)), batch or 1


def has_fast_bf16() -> bool:
    """Whether this CPU has matrix units for bfloat16 (AMX), which OpenVINO uses by default.

    AVX512-BF16 alone is not enough: with it YuNet took 22 ms in bfloat16 and 18 ms in float32, and
    the object detector 91 and 64 ms (960 x 544 and 640 x 384, one thread).
    """
    if _without_bf16():
        return False
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False


def _without_bf16() -> bool:
    """Whether oneDNN is restricted to an older instruction set without bfloat16.

    OpenVINO does not check this setting, and would fail to compile in bfloat16.
    """
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in ISA_WITHOUT_BF16
